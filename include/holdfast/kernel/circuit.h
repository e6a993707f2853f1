#pragma once

#include <chrono>
#include <compare>
#include <map>
#include <span>
#include <vector>

#include "holdfast/kernel/types.h"

namespace holdfast::kernel {

/// One breaker: the processes of one cgroup in one network namespace.
struct CircuitKey {
  NetnsCookie netns_cookie{};
  CgroupId cgroup_id{};
  auto operator<=>(const CircuitKey&) const = default;
};

/// A breaker that is open: its clients go direct until the agent closes it.
struct OpenCircuit {
  CircuitKey key;
  Failure last_failure{};
  std::uint32_t failures = 0;
  std::chrono::steady_clock::time_point opened_at;
};

/// When an open circuit is to be probed. The kernel opens circuits and never closes one; the agent
/// asks here which are due, probes those, and closes what works again (Interceptor::close_circuit).
/// Pure: time comes in as an argument. One thread.
class CircuitSchedule {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::minutes kFirstPause{1};
  static constexpr std::chrono::minutes kLongestPause{60};
  static constexpr std::chrono::seconds kRetryPause{5};

  /// Takes the circuits that are open now. Returns those that are due for a probe. A circuit that
  /// opens again within its last pause after it was closed goes on with the longer pause.
  std::vector<CircuitKey> due(std::span<const OpenCircuit> open, Time now);
  /// The probe of `key` failed: the pause doubles, up to kLongestPause.
  void failed(const CircuitKey& key, Time now);
  /// No probe could be made: that says nothing about the circuit. It is due again after
  /// kRetryPause.
  void postponed(const CircuitKey& key, Time now);
  /// The probe worked and the circuit was closed.
  void closed(const CircuitKey& key, Time now);

 private:
  struct Entry {
    std::chrono::steady_clock::duration pause{};
    Time next_probe;
    Time forget_at = Time::max();  ///< set while closed
  };
  std::map<CircuitKey, Entry> entries_;
};

}  // namespace holdfast::kernel
