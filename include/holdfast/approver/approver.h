#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace holdfast::approver {

/// The label by which a node is opted in. A kubelet may set most labels on its own Node, but none
/// under node-restriction.kubernetes.io (admission plugin NodeRestriction): so a node can't opt
/// itself in.
inline constexpr const char* kNodeLabel =
    "holdfast.node-restriction.kubernetes.io/intercept=enabled";

struct ApproverOptions {
  std::string kubeconfig;  ///< empty: the service account of the pod that it runs in
  std::chrono::seconds max_lifetime{30 * 24 * 3600};
  std::string node_label = kNodeLabel;   ///< KEY=VALUE
  std::vector<std::string> allow_names;  ///< DNS names and addresses beside the mirrored ones
  std::vector<std::string> listeners{"169.254.77.1",
                                     "fd77::1"};  ///< intercept.listen of the agents
};

/// Runs until SIGTERM or SIGINT. Returns the process's exit status: 0 after an orderly stop, 1 when
/// it could not start or failed, 2 when an option is wrong.
int run(const ApproverOptions& options);

}  // namespace holdfast::approver
