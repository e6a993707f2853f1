#pragma once

#include <string>
#include <vector>

#include "holdfast/base/result.h"
#include "upstream/api_client.h"

namespace holdfast::approver {

/// Where the API server is and how the approver speaks to it.
struct Access {
  std::vector<upstream::Server> servers;
  std::string ca_pem;
  upstream::ApiAccess credential;
};

/// From a kubeconfig: its current context's server, CA, and a token or a client certificate, each
/// inline or in a file. Exec plugins are not run.
Result<Access> access_from_kubeconfig(const std::string& path);
/// From the environment of a pod. kNotFound when this is none.
Result<Access> access_in_cluster();

}  // namespace holdfast::approver
