#pragma once

#include <atomic>
#include <chrono>
#include <functional>
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
  /// A pause between ticks that can make a connection wait for longer than its tag is kept.
  static constexpr std::chrono::milliseconds kLate{500};
  /// Until what waited for a late thread is dealt with.
  static constexpr std::chrono::milliseconds kRecovers{2000};
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
  /// Whether connections may be waiting for us: what they then seem to suffer is our own doing.
  enum class Pace : std::uint8_t {
    kSteady,
    kRecovering,  ///< a thread was late a moment ago
    kLate,
  };
  [[nodiscard]] Pace pace(Time now) const;
  /// Why the heartbeat must stop; empty: it goes on.
  [[nodiscard]] std::vector<std::string> problems(Time now) const;

 private:
  std::vector<std::atomic<Time::rep>> ticks_;
  std::atomic<Time::rep> self_test_{0}, exhausted_{0}, recovered_{0};
  std::atomic<double> descriptors_{0}, backlog_{0};
  mutable std::mutex mutex_;
  std::string self_test_error_ = "the self-test has not passed yet";
};

/// Beats if all is well, and takes it back if something went wrong in that very moment: whoever
/// runs out of descriptors stops the heart himself, and must not be overruled by a beat that was
/// decided on just before. True when it beats.
bool beat_if_well(const std::function<bool()>& well, const std::function<void()>& beat,
                  const std::function<void()>& stop);

/// As many file descriptors as this process may have: the default for a daemon is often 1024, while
/// each client takes one or two. The new limit.
std::size_t raise_descriptor_limit();

/// Open file descriptors of this process over RLIMIT_NOFILE, 0…1.
double descriptor_usage();

}  // namespace holdfast::agent
