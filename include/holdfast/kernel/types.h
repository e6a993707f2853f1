#pragma once

#include <cstdint>
#include <string_view>

#include "holdfast/abi/decision.h"

/// The C enums of the ABI as C++ sees them. `to_string` gives the names that people, JSON and
/// metrics see.
namespace holdfast::kernel {

/// Identifies a network namespace until the machine reboots; 0: unknown.
enum class NetnsCookie : std::uint64_t {};
/// A cgroup2 id (the inode of its folder); 0: unknown.
enum class CgroupId : std::uint64_t {};
/// A socket cookie: names a connection in flow events and tags.
enum class ConnectionId : std::uint64_t {};

/// What a rule asks for.
enum class Action : std::uint8_t {
  kRedirect = HF_ACTION_REDIRECT,
  kBypass = HF_ACTION_BYPASS,
  kSplice = HF_ACTION_SPLICE,
};

/// What the hook did with a connection.
enum class Verdict : std::uint8_t {
  kRedirected = HF_VERDICT_REDIRECTED,
  kSpliced = HF_VERDICT_SPLICED,
  kDirect = HF_VERDICT_DIRECT,
};

/// Why a connection was left direct.
enum class Reason : std::uint8_t {
  kNone = HF_REASON_NONE,
  kHeartbeatStale = HF_REASON_HEARTBEAT_STALE,
  kOwnTraffic = HF_REASON_OWN_TRAFFIC,
  kNetnsDenied = HF_REASON_NETNS_DENIED,
  kNetnsIsolated = HF_REASON_NETNS_ISOLATED,
  kCircuitOpen = HF_REASON_CIRCUIT_OPEN,
  kRuleBypass = HF_REASON_RULE_BYPASS,
  kNoListener = HF_REASON_NO_LISTENER,
  kRecordFailed = HF_REASON_RECORD_FAILED,
};

/// What is known about a network namespace. Of an unknown one the proxy parks the requests.
enum class NetnsVerdict : std::uint8_t {
  kUnknown = HF_NETNS_UNKNOWN,
  kAdmitted = HF_NETNS_ADMITTED,
  kDenied = HF_NETNS_DENIED,      ///< no direct path to the API server: no service either
  kIsolated = HF_NETNS_ISOLATED,  ///< cannot reach the listener
};

/// How a redirected connection failed.
enum class Failure : std::uint8_t {
  kNone = HF_FAILURE_NONE,
  kUnroutable = HF_FAILURE_UNROUTABLE,
  kRefused = HF_FAILURE_REFUSED,
  kSynLost = HF_FAILURE_SYN_LOST,
  kReset = HF_FAILURE_RESET,
  kUnclaimed = HF_FAILURE_UNCLAIMED,
  kGaveUp = HF_FAILURE_GAVE_UP,  ///< the client closed it first: not counted
};

std::string_view to_string(Action action);
std::string_view to_string(Verdict verdict);
std::string_view to_string(Reason reason);
std::string_view to_string(NetnsVerdict verdict);
std::string_view to_string(Failure failure);

}  // namespace holdfast::kernel
