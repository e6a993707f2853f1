#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <vector>

#include "holdfast/base/clock.h"

namespace holdfast::agent {

/// Whether the agent serves: the only thing that keeps the heartbeat going. Fed by the I/O threads'
/// ticks, the self-test and the bounds on resources. Thread-safe.
class Health {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kTickLimit{1000};
  static constexpr std::chrono::milliseconds kSelfTestLimit{2500};
  static constexpr std::chrono::milliseconds kExhaustedFor{1000};
  static constexpr double kBacklogLimit = 0.75;
  static constexpr double kDescriptorLimit = 0.9;

  explicit Health(std::size_t threads);

  void ticked(std::size_t thread, Time now);
  void self_test_passed(Time now);
  void self_test_failed(std::string why);
  /// Open descriptors over their limit; the fullest accept queue, 0…1.
  void resources(double descriptors, double backlog);

  /// A connection could not be accepted for want of a descriptor or of memory.
  void exhausted(Time now);

  /// True when every I/O thread ran a moment ago: the process as such is alive.
  [[nodiscard]] bool threads_alive(Time now) const;
  /// Why the heartbeat must stop; empty: it goes on.
  [[nodiscard]] std::vector<std::string> problems(Time now) const;

 private:
  std::vector<std::atomic<Time::rep>> ticks_;
  std::atomic<Time::rep> self_test_{0}, exhausted_{0};
  std::atomic<double> descriptors_{0}, backlog_{0};
  mutable std::mutex mutex_;
  std::string self_test_error_ = "the self-test has not passed yet";
};

/// Open file descriptors of this process over RLIMIT_NOFILE, 0…1.
double descriptor_usage();

}  // namespace holdfast::agent
