#pragma once

#include <chrono>
#include <memory>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/task.h"
#include "holdfast/kernel/connection_tag.h"
#include "holdfast/kernel/types.h"

namespace holdfast::proxy {

/// Whether the agent may serve a network namespace: only one from which the API server can be
/// reached directly, so that the CNI's NetworkPolicy decides and not we.
class Admission {
 public:
  virtual ~Admission() = default;
  /// The verdict for the namespace that this connection came from. Waits for it while it is being
  /// found out, at most `limit`; kUnknown then, and for a namespace that was never judged while the
  /// link is down.
  virtual Task<kernel::NetnsVerdict> verdict(kernel::ConnectionTag tag, Endpoint peer,
                                             std::chrono::milliseconds limit) = 0;
  /// For a connection without a tag, whose namespace nobody knows: whether its address is one that
  /// an admitted namespace has. Else a pod that a NetworkPolicy keeps from the API server could
  /// dial the listener itself. Waits, at most `limit`, while namespaces are being judged: behind a
  /// sidecar the client's next try is direct only once that is known.
  virtual Task<bool> admits(Endpoint peer, std::chrono::milliseconds limit) = 0;
};

}  // namespace holdfast::proxy
