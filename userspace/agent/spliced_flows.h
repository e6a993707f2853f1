#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "holdfast/kernel/types.h"
#include "holdfast/telemetry/broadcast.h"
#include "request/client.h"

namespace holdfast::agent {

/// The kernel says that a connection came to us; that we passed it on untouched, and why, only the
/// proxy knows. Tells those who trace, and keeps it for the connection's last event. Thread-safe.
class SplicedFlows {
 public:
  explicit SplicedFlows(telemetry::Broadcast& trace) : trace_{trace} {}

  void add(const request::Client& client, telemetry::ConnectionReason reason);
  [[nodiscard]] std::optional<telemetry::ConnectionReason> find(kernel::ConnectionId id) const;
  void remove(kernel::ConnectionId id);

 private:
  static constexpr std::size_t kMost = 16384;

  telemetry::Broadcast& trace_;
  mutable std::mutex mutex_;
  std::map<kernel::ConnectionId, telemetry::ConnectionReason> flows_;
};

}  // namespace holdfast::agent
