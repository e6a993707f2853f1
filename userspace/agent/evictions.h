#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/admin/status.h"
#include "holdfast/cache/store.h"

namespace holdfast::agent {

/// How long after its node got the taint `node.kubernetes.io/unreachable:NoExecute` a pod is
/// deleted; none: never. As the taint eviction controller reckons: the first toleration that
/// matches counts, the others do not (GetMatchingTolerations). kInvalidArgument: not a pod.
Result<std::optional<std::chrono::seconds>> deleted_after(kube::Encoding encoding,
                                                          const Slice& pod);

/// The pods that a long outage deletes from this node, soonest first, from the pods that its
/// kubelet was shown: the agent asks for nothing itself, which would take the right to read pods.
/// None: no kubelet read them through the agent, or the list is not whole.
std::optional<std::vector<admin::Status::Eviction>> evictions(cache::Store& store,
                                                              const std::string& node);

}  // namespace holdfast::agent
