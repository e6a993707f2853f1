#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

/// The closed sets that label values come from: what a client can invent never becomes a series.
namespace holdfast::telemetry {

/// Where an answer came from.
enum class Source : std::uint8_t { kUpstream, kCache, kLease, kLocal, kTunnel };
inline constexpr std::size_t kSources = 5;

/// What became of a connection to an API server.
enum class Verdict : std::uint8_t { kRedirected, kSpliced, kDirect };
inline constexpr std::size_t kVerdicts = 3;

/// Why a connection is not (only) redirected.
enum class ConnectionReason : std::uint8_t {
  kNone,
  // Direct, as the connect hook decides (abi/decision.h), in its order.
  kHeartbeatStale,
  kOwnTraffic,
  kNetnsDenied,
  kNetnsIsolated,
  kCircuitOpen,
  kRuleBypass,
  kNoListener,
  kRecordFailed,
  // Spliced, as the TLS step decides.
  kRuleSplice,          ///< intercept.rules
  kOtherName,           ///< SNI is none of the real server's names
  kNotTls,              ///< no ClientHello
  kHandshakeFailed,     ///< this workload did not like our certificate a moment ago
  kUnknownCertificate,  ///< a client certificate whose key is not on this node
  kNoCertificate,       ///< nothing valid to serve for this target
  kChainMismatch,       ///< the real server's chain has another root
  kNetnsUnjudged,       ///< offline and never admitted
  kLimit,               ///< too many connections, descriptors or memory
  kOther,
};
inline constexpr std::size_t kConnectionReasons = 19;

enum class CacheResult : std::uint8_t { kHit, kDerived, kMiss, kDenied };
inline constexpr std::size_t kCacheResults = 4;
enum class LinkState : std::uint8_t { kOnline, kSuspect, kOffline };
inline constexpr std::size_t kLinkStates = 3;
enum class WatchState : std::uint8_t { kLive, kHeld };
inline constexpr std::size_t kWatchStates = 2;
enum class ResumeHow : std::uint8_t { kResume, kRelist };
inline constexpr std::size_t kResumeHows = 2;
enum class LeasePolicy : std::uint8_t { kForward, kHold, kCoalesce, kLocal };
inline constexpr std::size_t kLeasePolicies = 4;
enum class LeaseOutcome : std::uint8_t { kForwarded, kAcknowledged, kConflict, kRefused };
inline constexpr std::size_t kLeaseOutcomes = 4;
/// Bytes to (kSent) and from (kReceived) API servers.
enum class Direction : std::uint8_t { kSent, kReceived };
inline constexpr std::size_t kDirections = 2;

std::string_view to_string(Source value);
std::string_view to_string(Verdict value);
std::string_view to_string(ConnectionReason value);
std::string_view to_string(CacheResult value);
std::string_view to_string(LinkState value);
std::string_view to_string(WatchState value);
std::string_view to_string(ResumeHow value);
std::string_view to_string(LeasePolicy value);
std::string_view to_string(LeaseOutcome value);
std::string_view to_string(Direction value);

/// The label of a resource: itself when it is one that Kubernetes has, "none" for "", else "other".
std::string_view resource_label(std::string_view resource);

}  // namespace holdfast::telemetry
