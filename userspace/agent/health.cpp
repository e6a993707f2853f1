#include "agent/health.h"

#include <dirent.h>
#include <sys/resource.h>

#include <utility>

namespace holdfast::agent {

Health::Health(std::size_t threads) : ticks_(threads) {}

void Health::ticked(std::size_t thread, Time now) {
  const Time last{Time::duration{ticks_[thread].load(std::memory_order_relaxed)}};
  if (now - last > kLate) recovered_ = now.time_since_epoch().count();
  ticks_[thread].store(now.time_since_epoch().count(), std::memory_order_relaxed);
}

void Health::self_test_passed(Time now) {
  self_test_.store(now.time_since_epoch().count());
}

void Health::self_test_failed(std::string why) {
  const std::scoped_lock lock{mutex_};
  self_test_error_ = std::move(why);
}

void Health::resources(double descriptors, double backlog) {
  descriptors_ = descriptors;
  backlog_ = backlog;
}

void Health::exhausted(Time now) {
  exhausted_.store(now.time_since_epoch().count());
}

bool Health::threads_alive(Time now) const {
  for (const auto& tick : ticks_) {
    const Time last{Time::duration{tick.load(std::memory_order_relaxed)}};
    if (now - last > kTickLimit) return false;
  }
  return true;
}

Health::Pace Health::pace(Time now) const {
  for (const auto& tick : ticks_) {
    const Time last{Time::duration{tick.load(std::memory_order_relaxed)}};
    if (now - last > kLate) return Pace::kLate;
  }
  const Time recovered{Time::duration{recovered_.load()}};
  return now - recovered < kRecovers ? Pace::kRecovering : Pace::kSteady;
}

std::vector<std::string> Health::problems(Time now) const {
  std::vector<std::string> out;
  if (!threads_alive(now)) out.emplace_back("an I/O thread is blocked");
  const Time passed{Time::duration{self_test_.load()}};
  if (now - passed > kSelfTestLimit) {
    const std::scoped_lock lock{mutex_};
    out.push_back("self-test: " + self_test_error_);
  }
  const Time exhausted{Time::duration{exhausted_.load()}};
  const bool lately = exhausted_ != 0 && now - exhausted < kExhaustedFor;
  if (lately) out.emplace_back("a connection could not be accepted");
  if (descriptors_ > kDescriptorLimit) out.emplace_back("file descriptors are running out");
  if (backlog_ > kBacklogLimit) out.emplace_back("the accept queue is nearly full");
  return out;
}

bool beat_if_well(const std::function<bool()>& well, const std::function<void()>& beat,
                  const std::function<void()>& stop) {
  if (!well()) return false;
  beat();
  if (well()) return true;
  stop();
  return false;
}

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const auto before = std::exchange(limit.rlim_cur, limit.rlim_max);
  if (before != limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) != 0) return before;
  return limit.rlim_cur;
}

double descriptor_usage() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == 0) return 0;
  DIR* directory = opendir("/proc/self/fd");
  if (!directory) return 1;  // not even one descriptor is left to look
  std::size_t count = 0;
  while (readdir(directory)) ++count;
  closedir(directory);
  return static_cast<double>(count) / static_cast<double>(limit.rlim_cur);
}

}  // namespace holdfast::agent
