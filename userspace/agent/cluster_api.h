#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "agent/service_discovery.h"
#include "holdfast/base/result.h"
#include "holdfast/base/task.h"
#include "holdfast/kube/object.h"
#include "upstream/api_client.h"

namespace holdfast::agent {

/// What the API server says of the cluster as a whole, asked for with the agent's own access. The
/// seam of the check's tests.
class ClusterApi {
 public:
  virtual ~ClusterApi() = default;
  /// The UID of the namespace kube-system. kRefused when the agent may not see it.
  virtual Task<Result<std::string>> uid() = 0;
  /// What the storage is at: the resourceVersion of a consistent list. kRefused as above.
  virtual Task<Result<kube::ResourceVersion>> version() = 0;
};

std::unique_ptr<ClusterApi> make_cluster_api(std::unique_ptr<upstream::ApiClient> client,
                                             OwnAccess access);

/// metadata.uid of an object; empty when it is none.
std::string uid_of(std::string_view json);
/// metadata.resourceVersion of a list; 0 when it is none.
kube::ResourceVersion version_of_list(std::string_view json);
/// SHA-256 of the public keys of a bundle's certificates, in hex, with commas between them: a
/// certificate that is renewed with its key is the same CA.
std::string hash_of_roots(std::string_view ca_pem);

}  // namespace holdfast::agent
