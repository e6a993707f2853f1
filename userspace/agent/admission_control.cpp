#include "agent/admission_control.h"

#include <signal.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <optional>
#include <utility>

#include "holdfast/kernel/netns.h"
#include "holdfast/telemetry/log.h"

namespace holdfast::agent {

using kernel::NetnsVerdict;

AdmissionControl::AdmissionControl(kernel::Interceptor* interceptor, upstream::LinkMonitor& link,
                                   const RecentPeers& peers, std::vector<Endpoint> listeners)
    : interceptor_{interceptor},
      link_{link},
      peers_{peers},
      listeners_{std::move(listeners)},
      thread_{[this] { work(); }} {}

AdmissionControl::~AdmissionControl() {
  {
    const std::scoped_lock lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

Task<NetnsVerdict> AdmissionControl::verdict(kernel::ConnectionTag tag, Endpoint peer,
                                             std::chrono::milliseconds limit) {
  const auto executor = co_await boost::asio::this_coro::executor;
  const auto deadline = SteadyClock::now() + limit;
  std::shared_ptr<Event> event;
  while (true) {
    {
      const std::scoped_lock lock{mutex_};
      auto& entry = entries_[tag.netns_cookie];
      entry.pid = tag.pid;
      entry.original = tag.original;
      if (entry.addresses.size() < kMaxAddresses) entry.addresses.insert(peer.address);
      if (entry.verdict != NetnsVerdict::kUnknown) co_return entry.verdict;
      const bool tried = entry.judged != SteadyClock::time_point{};
      const bool offline = link_.state() == upstream::Link::kOffline;
      if (offline && tried && !entry.queued) co_return NetnsVerdict::kUnknown;
      if (SteadyClock::now() >= deadline) co_return NetnsVerdict::kUnknown;
      enqueue(tag.netns_cookie, entry);
      event = std::make_shared<Event>(executor);
      entry.waiters.push_back({executor, event});
    }
    co_await event->wait_for(std::max<SteadyClock::duration>(deadline - SteadyClock::now(),
                                                             std::chrono::milliseconds{1}));
  }
}

Task<bool> AdmissionControl::admits(Endpoint peer, std::chrono::milliseconds limit) {
  const auto executor = co_await boost::asio::this_coro::executor;
  const auto event = std::make_shared<Event>(executor);
  const auto began = SteadyClock::now();
  while (true) {
    SteadyClock::duration left;
    {
      const std::scoped_lock lock{mutex_};
      std::erase_if(strangers_, [&](const Waiter& waiter) {
        const auto other = waiter.event.lock();
        return !other || other == event;
      });
      if (knows(peer)) co_return true;
      left = began + (judging() ? limit : kToBeSeen) - SteadyClock::now();
      if (left <= SteadyClock::duration::zero()) co_return false;
      strangers_.push_back({executor, event});
    }
    co_await event->wait_for(left);
  }
}

bool AdmissionControl::judging() const {
  return std::ranges::any_of(entries_, [](const auto& item) {
    return item.second.queued && item.second.verdict == NetnsVerdict::kUnknown;
  });
}

void AdmissionControl::wake(Waiters waiters) {
  for (const auto& waiter : waiters) {
    auto event = waiter.event.lock();
    if (!event) continue;
    boost::asio::post(waiter.executor, [event = std::move(event)] { event->notify_all(); });
  }
}

bool AdmissionControl::knows(const Endpoint& peer) const {
  return std::ranges::any_of(entries_, [&](const auto& item) {
    const auto& entry = item.second;
    // An address may go to another pod once this one is gone.
    return entry.verdict == NetnsVerdict::kAdmitted && entry.addresses.contains(peer.address) &&
           kill(entry.pid, 0) == 0;
  });
}

void AdmissionControl::saw(kernel::NetnsCookie cookie, pid_t pid, const Endpoint& original) {
  const std::scoped_lock lock{mutex_};
  if (entries_.size() >= kMaxNamespaces && !entries_.contains(cookie)) return;
  auto& entry = entries_[cookie];
  entry.pid = pid;
  entry.original = original;
  if (entry.verdict == NetnsVerdict::kUnknown && entry.judged == SteadyClock::time_point{}) {
    enqueue(cookie, entry);
  }
}

NetnsVerdict AdmissionControl::known(kernel::NetnsCookie cookie) const {
  const std::scoped_lock lock{mutex_};
  const auto it = entries_.find(cookie);
  return it == entries_.end() ? NetnsVerdict::kUnknown : it->second.verdict;
}

void AdmissionControl::tick(SteadyClock::time_point now) {
  const auto open =
      interceptor_ ? interceptor_->open_circuits() : std::vector<kernel::OpenCircuit>{};
  const std::scoped_lock lock{mutex_};
  const auto due = circuits_.due(open, now);
  for (const auto& key : due) {
    const auto it = entries_.find(key.netns_cookie);
    if (it == entries_.end()) continue;
    it->second.circuits.push_back(key);
    enqueue(key.netns_cookie, it->second);
  }
  forget_gone(now);
  if (link_.state() == upstream::Link::kOffline) return;
  for (auto& [cookie, entry] : entries_) {
    // An isolated namespace may have been judged while the node was merely overloaded.
    const auto repeat = entry.verdict == NetnsVerdict::kIsolated ? kRepeatIsolated : kRepeat;
    if (now - entry.judged >= repeat) enqueue(cookie, entry);
  }
}

// Pods come and go: a namespace whose last process ended a while ago is judged anew, should it
// still be there.
void AdmissionControl::forget_gone(SteadyClock::time_point now) {
  std::erase_if(entries_, [&](const auto& item) {
    const auto& [cookie, entry] = item;
    const bool busy = entry.queued || !entry.waiters.empty() || !entry.circuits.empty();
    if (busy || now - entry.judged < kForget) return false;
    if (kill(entry.pid, 0) == 0 || errno != ESRCH) return false;
    if (interceptor_) (void)interceptor_->set_admission(cookie, NetnsVerdict::kUnknown);
    return true;
  });
}

void AdmissionControl::enqueue(kernel::NetnsCookie cookie, Entry& entry) {
  if (entry.queued) return;
  entry.queued = true;
  queue_.push_back(cookie);
  wake_.notify_one();
}

void AdmissionControl::work() {
  std::unique_lock lock{mutex_};
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const auto cookie = queue_.front();
    queue_.pop_front();
    const auto& entry = entries_[cookie];
    const auto pid = entry.pid;
    const auto original = entry.original;
    lock.unlock();
    judge_one(cookie, pid, original);
    lock.lock();
  }
}

void AdmissionControl::judge_one(kernel::NetnsCookie cookie, pid_t pid, const Endpoint& original) {
  kernel::Judgement judgement;
  // The process may be gone: then the namespace is judged with the next one that is seen there.
  if (const auto netns = kernel::open_netns(pid, cookie)) {
    const auto same_family = [&](const Endpoint& listener) {
      return listener.is_v4() == original.is_v4();
    };
    const auto listener = std::ranges::find_if(listeners_, same_family);
    kernel::JudgeOptions options{
        .listener = listener != listeners_.end() ? *listener : listeners_.front(),
        .target =
            link_.state() == upstream::Link::kOffline ? std::nullopt : std::optional{original},
        .accepted = [this](const Endpoint& client) { return peers_.contains(client); }};
    if (auto result = kernel::judge(*netns, options)) judgement = *result;
  }
  settle(cookie, judgement);
}

void AdmissionControl::settle(kernel::NetnsCookie cookie, const kernel::Judgement& judgement) {
  const auto now = SteadyClock::now();
  const std::scoped_lock lock{mutex_};
  auto& entry = entries_[cookie];
  entry.queued = false;
  entry.judged = now;
  // What could not be found out leaves the last verdict in force.
  if (judgement.verdict != NetnsVerdict::kUnknown && judgement.verdict != entry.verdict) {
    entry.verdict = judgement.verdict;
    if (interceptor_) {
      if (auto told = interceptor_->set_admission(cookie, entry.verdict); !told) {
        telemetry::log(spdlog::level::err, "the kernel did not take a namespace's verdict",
                       {{"error", told.error().to_string()}});
      }
    }
    telemetry::log(spdlog::level::info, "network namespace judged",
                   {{"netns_cookie", static_cast<std::uint64_t>(cookie)},
                    {"verdict", kernel::to_string(entry.verdict)},
                    {"pid", entry.pid}});
  }
  for (const auto& key : std::exchange(entry.circuits, {})) {
    if (judgement.listener == kernel::Reach::kConnected && interceptor_ &&
        interceptor_->close_circuit(key)) {
      circuits_.closed(key, now);
    } else {
      circuits_.failed(key, now);
    }
  }
  wake(std::exchange(entry.waiters, {}));
  wake(std::exchange(strangers_, {}));
}

}  // namespace holdfast::agent
