#pragma once

#include "holdfast/identity/process.h"
#include "holdfast/tls/spliced_client.h"

namespace holdfast::proxy {

/// A process that calls `target`, as splices are remembered. Two programs of one pod that run the
/// same executable are one client.
inline tls::ClientKey client_key(const identity::Process& process, const Endpoint& target) {
  const auto& pod = process.container.pod_uid;
  return {.workload = pod.empty() ? process.cgroup : "pod " + pod,
          .executable = process.executable,
          .target = target};
}

}  // namespace holdfast::proxy
