#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/base/endpoint.h"
#include "holdfast/upstream/dialer.h"

namespace holdfast::agent {

class Surroundings;

/// Which Kubernetes this node runs. kPlain: a kubelet, or none, that nothing tells apart.
enum class Distribution : std::uint8_t { kPlain, kKubeadm, kK3s, kRke2, kMicrok8s, kK0s };
/// "plain", "kubeadm", "k3s", …: also a metric's label.
std::string_view to_string(Distribution distribution);

/// kControlPlane: an API server runs here, or is meant to (K3s and RKE2 call it a server).
enum class Role : std::uint8_t { kWorker, kControlPlane };

/// What this node is, and what told.
struct NodeKind {
  Distribution distribution = Distribution::kPlain;
  Role role = Role::kWorker;
  std::string sign;  ///< the file that told; empty: none did

  /// The role in the distribution's own word: "agent", "server", "worker" or "control plane".
  [[nodiscard]] std::string_view role_name() const;
  [[nodiscard]] std::string name() const;    ///< "k3s agent"
  [[nodiscard]] std::string reason() const;  ///< a sentence for people
};

/// From files alone, so that it is the same offline and in a pod that has them mounted. A sign of
/// an API server outweighs all others: leaving a node alone does no harm.
NodeKind detect_node(const Surroundings& surroundings);

/// Where the distribution keeps what discovery needs.
struct NodeFiles {
  /// The kubelet's first: server, CA and the agent's own access come from there. From the others
  /// only client key pairs are taken.
  std::vector<std::string> kubeconfigs;
  /// {certificate, key}; they may come later than the agent.
  std::vector<std::pair<std::string, std::string>> identities;
  /// K3s and RKE2 agents: node components dial a TCP balancer on the loopback interface, which runs
  /// in the agent's own process. Its listener is not an API server, so it can be redirected.
  bool balanced = false;
  /// What that balancer dials, and where that was read; empty: not known.
  std::vector<upstream::Server> balanced_servers;
  std::string balanced_source;
};
NodeFiles node_files(const NodeKind& node, const Surroundings& surroundings);

}  // namespace holdfast::agent
