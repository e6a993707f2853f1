#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "holdfast/telemetry/metrics.h"

namespace holdfast::telemetry {

inline constexpr std::size_t kVerbs = static_cast<std::size_t>(kube::Verb::kOther) + 1;

/// Codes with a series of their own; any other counts as "other".
inline constexpr std::array<int, 29> kCodes{0,   101, 200, 201, 202, 204, 301, 302, 304, 307,
                                            308, 400, 401, 403, 404, 405, 406, 408, 409, 410,
                                            413, 415, 422, 429, 500, 501, 502, 503, 504};
inline constexpr std::size_t kCodeSlots = kCodes.size() + 1;
std::size_t code_slot(int code) noexcept;

/// Resources with a series of their own; slot 0 is "other".
std::size_t resource_slot(std::string_view resource) noexcept;
std::string_view resource_of(std::size_t slot) noexcept;
inline constexpr std::size_t kResourceSlots = 96;  ///< at least as many as labels.cpp names

/// Upper bounds in seconds: from a hit in memory to kubectl's patience.
inline constexpr std::array<double, 13> kBuckets{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                 0.1,    0.25,  0.5,    1,     5,    30};

using Counter = std::atomic<std::uint64_t>;
using Gauge = std::atomic<std::int64_t>;

struct HistogramCells {
  std::array<Counter, kBuckets.size() + 1> counts{};
  Counter sum_ns{0};
};

/// All requests of one resource. Made at its first request: most of the known resources are never
/// asked for, and a table takes 13 KiB.
struct RequestTable {
  std::array<Counter, kVerbs * kSources * kCodeSlots> cells{};
  static std::size_t index(std::size_t verb, std::size_t source, std::size_t code) {
    return (verb * kSources + source) * kCodeSlots + code;
  }
};

struct Metrics::Cells {
  std::array<std::atomic<RequestTable*>, kResourceSlots> requests{};
  std::array<HistogramCells, kVerbs * kSources> durations{};
  std::array<Counter, kSources> requests_by_source{};
  std::array<Counter, kCacheResults> cache_reads{};
  Counter upstream_requests{0};
  std::array<Counter, kDirections> upstream_bytes{};

  std::array<Counter, kVerdicts * kConnectionReasons> connections{};  ///< counted here
  std::array<Counter, kVerdicts * kConnectionReasons> mirrored{};     ///< counted by the kernel
  std::array<Gauge, kVerdicts> connections_open{};

  std::atomic<int> link{-1};  ///< LinkState; -1: not known yet
  std::array<Counter, kLinkStates> link_transitions{};
  Gauge last_online_ms{-1};
  Gauge heartbeat_age_ns{-1};
  Gauge circuits_open{-1};
  Counter flow_events_lost{0};

  std::atomic<bool> cache_known{false};
  Counter cache_bytes{0}, cache_budget{0}, cache_objects{0}, cache_collections{0};
  Counter cache_evictions{0}, cache_write_queue{0}, cache_persistent{0};
  Counter cache_dropped{0}, cache_corrupt{0}, cache_write_errors{0};

  std::array<Gauge, kWatchStates> watches_open{};
  std::array<Counter, kResumeHows> watch_resumes{};
  std::array<Counter, kLeasePolicies * kLeaseOutcomes> lease_requests{};
  Counter lease_foreign_writes{0};

  mutable std::mutex mutex;  ///< guards what is below; never taken on the data path
  std::string distribution;

  Cells() = default;
  Cells(const Cells&) = delete;
  Cells& operator=(const Cells&) = delete;
  ~Cells() {
    for (auto& table : requests) delete table.load();
  }
};

}  // namespace holdfast::telemetry
