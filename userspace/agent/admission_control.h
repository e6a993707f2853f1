#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "agent/recent_peers.h"
#include "holdfast/base/event.h"
#include "holdfast/kernel/circuit.h"
#include "holdfast/kernel/interceptor.h"
#include "holdfast/kernel/netns.h"
#include "holdfast/upstream/link_monitor.h"
#include "proxy/admission.h"

namespace holdfast::agent {

/// Judges network namespaces on a thread of its own, since entering one and connecting from there
/// blocks; keeps the verdicts and tells the kernel. Judged again every 60 s while online.
class AdmissionControl final : public proxy::Admission {
 public:
  AdmissionControl(kernel::Interceptor* interceptor, upstream::LinkMonitor& link,
                   const RecentPeers& peers, std::vector<Endpoint> listeners);
  ~AdmissionControl() override;

  Task<kernel::NetnsVerdict> verdict(kernel::ConnectionTag tag, Endpoint peer,
                                     std::chrono::milliseconds limit) override;
  Task<bool> admits(Endpoint peer, std::chrono::milliseconds limit) override;

  /// A process of that namespace connects, redirected or not: what it takes to enter it later.
  void saw(kernel::NetnsCookie cookie, pid_t pid, const Endpoint& original);
  /// What is known of a namespace; nothing is asked.
  [[nodiscard]] kernel::NetnsVerdict known(kernel::NetnsCookie cookie) const;
  /// Once a second: judges anew what is older than kRepeat, and probes open circuits that are due.
  void tick(SteadyClock::time_point now);

 private:
  static constexpr std::chrono::seconds kRepeat{60};
  static constexpr std::chrono::seconds kRepeatIsolated{10};
  static constexpr std::size_t kMaxNamespaces = 16384;
  /// Until the event of a connect() that is under way has told of its namespace.
  static constexpr std::chrono::milliseconds kToBeSeen{500};

  using Address = std::array<std::uint8_t, 16>;
  static constexpr std::size_t kMaxAddresses =
      16;  ///< of one namespace; beyond: untagged is refused
  static constexpr std::chrono::minutes kForget{10};  ///< after the last process seen is gone

  struct Waiter {
    Executor executor;
    std::weak_ptr<Event> event;  ///< the coroutine's own: it may be cancelled meanwhile
  };
  using Waiters = std::vector<Waiter>;
  struct Entry {
    kernel::NetnsVerdict verdict = kernel::NetnsVerdict::kUnknown;
    pid_t pid = 0;  ///< the last process seen there
    Endpoint original;
    bool queued = false;
    SteadyClock::time_point judged{};
    std::set<Address> addresses;  ///< that its connections came from
    Waiters waiters;
    std::vector<kernel::CircuitKey> circuits;  ///< to be closed if the listener is reached
  };

  [[nodiscard]] bool knows(const Endpoint& peer) const;
  [[nodiscard]] bool judging() const;
  static void wake(Waiters waiters);
  void forget_gone(SteadyClock::time_point now);
  void enqueue(kernel::NetnsCookie cookie, Entry& entry);
  void work();
  void judge_one(kernel::NetnsCookie cookie, pid_t pid, const Endpoint& original);
  void settle(kernel::NetnsCookie cookie, const kernel::Judgement& judgement);

  kernel::Interceptor* const interceptor_;
  upstream::LinkMonitor& link_;
  const RecentPeers& peers_;
  const std::vector<Endpoint> listeners_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<kernel::NetnsCookie, Entry> entries_;
  std::deque<kernel::NetnsCookie> queue_;
  Waiters strangers_;  ///< connections without a tag from addresses that nobody knows
  kernel::CircuitSchedule circuits_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace holdfast::agent
