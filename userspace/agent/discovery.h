#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/distribution.h"
#include "holdfast/base/endpoint.h"
#include "holdfast/base/result.h"
#include "holdfast/config/config.h"
#include "holdfast/upstream/dialer.h"

namespace holdfast::agent {

/// What a kubeconfig says about its current cluster and user. Paths and inline data are resolved.
struct Kubeconfig {
  std::string server;   ///< "https://host:port"
  std::string ca_pem;   ///< empty: none given
  std::string ca_file;  ///< when it was a file
  std::string cert_file, key_file;
  bool inline_pair = false;  ///< the certificate and its key are in the file itself
};
/// kInvalidArgument when it is no kubeconfig; `directory` is what relative paths start from.
Result<Kubeconfig> parse_kubeconfig(std::string_view yaml, const std::string& directory);

/// Where the API server is, as found on this node.
struct Discovery {
  NodeKind node;
  /// Why nothing is intercepted on this node, whatever `intercept.enabled` says by default.
  std::string stay_out;
  /// Node components reach the API server through K3s' or RKE2's balancer: only what they and pods
  /// dial is a target, never what the balancer and K3s' tunnel dial.
  bool balanced = false;
  std::vector<upstream::Server> servers;  ///< where the agent's own connections go
  std::string ca_pem;                     ///< the roots they verify with
  std::string ca_file;                    ///< the file it came from; empty: inline
  std::vector<Endpoint> targets;          ///< what clients dial, to be redirected
  std::vector<std::pair<std::string, std::string>> identities;  ///< {cert, key} files
  std::string own_cert_file, own_key_file,
      own_token_file;                ///< the agent's own access; may be empty
  std::vector<std::string> sources;  ///< where each of these came from, for logs
};

/// The seam to the machine: environment, files, names and listening sockets.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  [[nodiscard]] virtual std::string environment(const std::string& name) const = 0;
  [[nodiscard]] virtual Result<std::string> read_file(const std::string& path) const = 0;
  /// The addresses of a name or of a numeric address.
  [[nodiscard]] virtual std::vector<Endpoint> resolve(const std::string& host,
                                                      std::uint16_t port) const = 0;
  /// Whether a local process listens there: then it is not a path to an API server elsewhere.
  [[nodiscard]] virtual bool is_listening(const Endpoint& endpoint) const = 0;
};
const Surroundings& this_machine();

/// The configuration wins; what it leaves open is looked for: in the files of this node's
/// distribution, then in the service environment of a pod. kNotFound says where it looked.
Result<Discovery> discover(const config::Config& config, const Surroundings& surroundings);

}  // namespace holdfast::agent
