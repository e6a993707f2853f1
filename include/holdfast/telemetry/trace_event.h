#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/result.h"
#include "holdfast/telemetry/labels.h"

namespace holdfast::telemetry {

struct PodRef {
  std::string ns, name, uid;
  bool operator==(const PodRef&) const = default;
};

/// One connection to an API server, as `holdfast trace` shows it.
struct FlowEvent {
  std::chrono::system_clock::time_point time;
  std::uint64_t connection = 0;  ///< not shown
  Verdict verdict = Verdict::kRedirected;
  std::string reason;  ///< empty: none
  std::uint32_t pid = 0;
  std::string comm, executable, cgroup, container;  ///< empty: unknown
  std::optional<PodRef> pod;
  std::optional<Endpoint> original, local;
  std::optional<std::chrono::microseconds> established,
      duration;  ///< since connect(); none: not yet
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint32_t srtt_us = 0, retransmits = 0;
  bool operator==(const FlowEvent&) const = default;
};

/// One request, as `holdfast trace` shows it. Who the client is, is there for filters only.
struct RequestEvent {
  std::chrono::system_clock::time_point time;
  std::uint64_t connection = 0;
  std::string principal, verb, resource, ns, name;
  int code = 0;
  Source source = Source::kUpstream;
  std::chrono::microseconds duration{};
  std::uint64_t bytes = 0;  ///< of the answer's body
  // Not shown:
  std::uint32_t pid = 0;
  std::string comm, executable;
  std::optional<PodRef> pod;
  bool operator==(const RequestEvent&) const = default;
};

using TraceEvent = std::variant<FlowEvent, RequestEvent>;

/// One JSON object without a newline, every key of the contract present; unknown values are "", 0
/// or null.
std::string to_json(const TraceEvent& event);
/// The reverse. kInvalidArgument for anything else, also for the {"kind":"lost"} line.
Result<TraceEvent> parse_trace_event(std::string_view json);
/// One line for a terminal, control characters replaced; no newline.
std::string to_line(const TraceEvent& event);
/// The heading over such lines.
std::string_view trace_heading();

/// What a subscriber wants to see. Empty fields: everything. Globs are not understood here.
struct TraceFilter {
  enum class Kind : std::uint8_t { kAll, kFlow, kRequest };
  Kind kind = Kind::kAll;
  std::string pod, ns;  ///< the client's pod
  std::string process;  ///< pid, comm, executable's path or its last part
  std::string verdict;  ///< a flow's verdict or a request's source
  [[nodiscard]] bool matches(const TraceEvent& event) const;
};

}  // namespace holdfast::telemetry
