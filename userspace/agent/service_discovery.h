#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/nursery.h"
#include "holdfast/base/task.h"
#include "holdfast/upstream/dialer.h"

namespace holdfast::agent {

/// What the agent itself may speak with: a client certificate, a token file, or nothing.
struct OwnAccess {
  upstream::Identity identity;
  std::string cert_file, key_file;  ///< of `identity`, read at each use: it is renewed
  std::string token_file;           ///< read at each use: kubelet rotates it
};

/// Asks the API server where clients find it: the Service `default/kubernetes` and the
/// EndpointSlice of that name, with the agent's own access. On the control thread.
class ServiceDiscovery {
 public:
  /// `nursery` runs the connection while it asks. `balanced`: see Discovery.
  ServiceDiscovery(std::vector<upstream::Server> servers, std::unique_ptr<upstream::Dialer> dialer,
                   OwnAccess access, bool balanced, Nursery& nursery);

  /// All addresses that could be found out: those of the Service and, unless `balanced`, of the
  /// slice and of servers that are known by name (names often resolve only while the link is up).
  /// An error only when neither could be asked for; the sentence says why.
  Task<Result<std::vector<Endpoint>>> ask();

 private:
  /// The addresses of servers that are known by name.
  Task<std::vector<Endpoint>> named_servers();
  Task<Result<std::string>> get(std::shared_ptr<http::ClientConnection> connection,
                                std::string authority, std::string path);

  std::vector<upstream::Server> servers_;
  std::unique_ptr<upstream::Dialer> dialer_;
  OwnAccess access_;
  const bool balanced_;
  Nursery& nursery_;
};

/// The ClusterIPs of a Service with its first port; empty when it is none.
std::vector<Endpoint> service_addresses(std::string_view json);
/// The endpoints of an EndpointSlice with its first port; empty when it is none.
std::vector<Endpoint> slice_addresses(std::string_view json);

}  // namespace holdfast::agent
