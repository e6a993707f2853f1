#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "holdfast/base/endpoint.h"
#include "holdfast/kernel/types.h"

namespace holdfast::kernel {

enum class FlowKind : std::uint8_t {
  kConnect = 1,
  kEstablished,
  kClosed,         ///< with the totals
  kCircuitOpened,  ///< `failure` says what opened the circuit of this cgroup and namespace
};

/// One moment in the life of a connection to an API server, redirected or direct.
struct FlowEvent {
  FlowKind kind{};
  ConnectionId connection{};
  NetnsCookie netns_cookie{};
  CgroupId cgroup_id{};
  pid_t pid = 0;
  uid_t uid = 0;
  std::string comm;
  Verdict verdict{};
  Reason reason{};  ///< kNone unless direct
  Failure failure{};
  Endpoint original;
  Endpoint local;  ///< the client's own end; port 0 before it is established
  std::chrono::steady_clock::time_point at;
  std::chrono::steady_clock::time_point connected_at;
  std::optional<std::chrono::steady_clock::time_point> established_at;
  /// Payload bytes, as the client's socket counts them; kClosed only.
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::chrono::microseconds srtt{};  ///< kEstablished and kClosed
  std::uint32_t retransmits = 0;     ///< kClosed only
};

std::string_view to_string(FlowKind kind);

}  // namespace holdfast::kernel
