#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "agent/namespaces.h"
#include "agent/recent_peers.h"
#include "holdfast/base/event.h"
#include "holdfast/kernel/circuit.h"
#include "holdfast/kernel/interceptor.h"
#include "holdfast/kernel/netns.h"
#include "holdfast/upstream/link_monitor.h"
#include "proxy/admission.h"

namespace holdfast::agent {

/// Judges network namespaces on threads of its own, since entering one and connecting from there
/// blocks; keeps the verdicts (`namespaces.h`) and tells the kernel.
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
  /// A redirected connection of that namespace was established, from this address.
  void located(kernel::NetnsCookie cookie, const Endpoint& local);
  /// Once a second: judges anew what is due, and probes open circuits that are.
  void tick(SteadyClock::time_point now);

 private:
  /// One namespace that answers slowly must not keep the others waiting.
  static constexpr std::size_t kThreads = 4;
  /// For our accept of a handshake from a namespace that could not reach us before.
  static constexpr std::chrono::milliseconds kIsolatedAccept{250};

  struct Waiter {
    Executor executor;
    std::weak_ptr<Event> event;  ///< the coroutine's own: it may be cancelled meanwhile
  };
  using Waiters = std::vector<Waiter>;

  static void add(Waiters& waiters, Waiter waiter);
  static void wake(Waiters waiters);
  bool note(kernel::NetnsCookie cookie, pid_t pid, const Endpoint& original);
  void work();
  [[nodiscard]] std::optional<kernel::Judgement> judge(const Namespaces::Job& job) const;
  void settle(kernel::NetnsCookie cookie, const std::optional<kernel::Judgement>& judgement);
  void tell(kernel::NetnsCookie cookie, const Namespaces::Outcome& outcome);

  kernel::Interceptor* const interceptor_;
  upstream::LinkMonitor& link_;
  const RecentPeers& peers_;
  const std::vector<Endpoint> listeners_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  Namespaces namespaces_;
  std::map<kernel::NetnsCookie, Waiters> waiters_;
  Waiters strangers_;  ///< connections without a tag from addresses that nobody knows
  kernel::CircuitSchedule circuits_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::agent
