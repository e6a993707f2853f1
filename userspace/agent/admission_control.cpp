#include "agent/admission_control.h"

#include <signal.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <optional>
#include <utility>

#include "holdfast/telemetry/log.h"

namespace holdfast::agent {
namespace {

using kernel::NetnsVerdict;

bool is_alive(pid_t pid) {
  return kill(pid, 0) == 0 || errno != ESRCH;
}

// By the process that was seen there, or, since that may be gone, by whoever else lives there.
Result<kernel::Netns> enter(const Namespaces::Job& job) {
  const auto& [pid, inode, original] = job.place;
  if (inode == 0 || kernel::netns_inode(pid) == inode) {
    auto netns = kernel::open_netns(pid, job.cookie);
    if (netns || inode == 0) return netns;
  }
  return kernel::find_netns(inode, job.cookie);
}

}  // namespace

AdmissionControl::AdmissionControl(kernel::Interceptor* interceptor, upstream::LinkMonitor& link,
                                   const RecentPeers& peers, std::vector<Endpoint> listeners)
    : interceptor_{interceptor},
      link_{link},
      peers_{peers},
      listeners_{std::move(listeners)},
      namespaces_{is_alive} {
  for (std::size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
}

AdmissionControl::~AdmissionControl() {
  {
    const std::scoped_lock lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

Task<NetnsVerdict> AdmissionControl::verdict(kernel::ConnectionTag tag, Endpoint peer,
                                             std::chrono::milliseconds limit) {
  const auto executor = co_await boost::asio::this_coro::executor;
  const auto event = std::make_shared<Event>(executor);
  const auto deadline = SteadyClock::now() + limit;
  const auto cookie = tag.netns_cookie;
  while (true) {
    {
      const std::scoped_lock lock{mutex_};
      if (!note(cookie, tag.pid, tag.original)) co_return NetnsVerdict::kUnknown;
      namespaces_.locate(cookie, peer);
      const auto verdict = namespaces_.verdict(cookie);
      if (verdict != NetnsVerdict::kUnknown) co_return verdict;
      const bool offline = link_.state() == upstream::Link::kOffline;
      if (offline && namespaces_.settled(cookie)) co_return NetnsVerdict::kUnknown;
      if (SteadyClock::now() >= deadline) co_return NetnsVerdict::kUnknown;
      add(waiters_[cookie], {executor, event});
    }
    co_await event->wait_for(std::max<SteadyClock::duration>(deadline - SteadyClock::now(),
                                                             std::chrono::milliseconds{1}));
  }
}

Task<bool> AdmissionControl::admits(Endpoint peer, std::chrono::milliseconds limit) {
  const auto executor = co_await boost::asio::this_coro::executor;
  const auto event = std::make_shared<Event>(executor);
  const auto deadline = SteadyClock::now() + limit;
  while (true) {
    SteadyClock::duration left;
    {
      const std::scoped_lock lock{mutex_};
      const auto standing = namespaces_.behind(peer);
      if (standing == Namespaces::Standing::kAdmitted) co_return true;
      left = deadline - SteadyClock::now();
      const bool over = left <= SteadyClock::duration::zero();
      if (over || standing == Namespaces::Standing::kRefused) co_return false;
      add(strangers_, {executor, event});
    }
    co_await event->wait_for(left);
  }
}

// Those who gave up meanwhile are forgotten.
void AdmissionControl::add(Waiters& waiters, Waiter waiter) {
  const auto mine = waiter.event.lock();
  std::erase_if(waiters, [&](const Waiter& known) {
    const auto other = known.event.lock();
    return !other || other == mine;
  });
  waiters.push_back(std::move(waiter));
}

void AdmissionControl::wake(Waiters waiters) {
  for (const auto& waiter : waiters) {
    auto event = waiter.event.lock();
    if (!event) continue;
    boost::asio::post(waiter.executor, [event = std::move(event)] { event->notify_all(); });
  }
}

bool AdmissionControl::note(kernel::NetnsCookie cookie, pid_t pid, const Endpoint& original) {
  // As long as one process is there to tell; later ones may be gone by now.
  const auto inode = namespaces_.has_inode(cookie) ? 0 : kernel::netns_inode(pid);
  const Namespaces::Place place{.pid = pid, .inode = inode, .original = original};
  if (!namespaces_.saw(cookie, place, SteadyClock::now())) return false;
  if (namespaces_.verdict(cookie) == NetnsVerdict::kUnknown) wake_.notify_one();
  return true;
}

void AdmissionControl::saw(kernel::NetnsCookie cookie, pid_t pid, const Endpoint& original) {
  const std::scoped_lock lock{mutex_};
  note(cookie, pid, original);
}

void AdmissionControl::located(kernel::NetnsCookie cookie, const Endpoint& local) {
  const std::scoped_lock lock{mutex_};
  namespaces_.locate(cookie, local);
}

NetnsVerdict AdmissionControl::known(kernel::NetnsCookie cookie) const {
  const std::scoped_lock lock{mutex_};
  return namespaces_.verdict(cookie);
}

void AdmissionControl::tick(SteadyClock::time_point now) {
  const auto open =
      interceptor_ ? interceptor_->open_circuits() : std::vector<kernel::OpenCircuit>{};
  const std::scoped_lock lock{mutex_};
  for (const auto& key : circuits_.due(open, now)) (void)namespaces_.probe(key, now);
  namespaces_.tick(now, link_.state() != upstream::Link::kOffline);
  std::erase_if(waiters_, [](const auto& item) {
    return std::ranges::all_of(item.second, [](const auto& w) { return w.event.expired(); });
  });
  wake_.notify_all();
}

void AdmissionControl::work() {
  std::unique_lock lock{mutex_};
  while (!stopping_) {
    const auto job = namespaces_.next(SteadyClock::now());
    if (!job) {
      if (const auto due = namespaces_.next_due()) {
        wake_.wait_until(lock, *due);
      } else {
        wake_.wait(lock);
      }
      continue;
    }
    lock.unlock();
    const auto judgement = judge(*job);
    lock.lock();
    settle(job->cookie, judgement);
  }
}

// Nothing when the namespace can't be entered: then it is judged when the next process is seen
// there.
std::optional<kernel::Judgement> AdmissionControl::judge(const Namespaces::Job& job) const {
  const auto netns = enter(job);
  if (!netns) return std::nullopt;
  const auto& original = job.place.original;
  const auto same_family = [&](const Endpoint& listener) {
    return listener.is_v4() == original.is_v4();
  };
  const auto listener = std::ranges::find_if(listeners_, same_family);
  kernel::JudgeOptions options{
      .listener = listener != listeners_.end() ? *listener : listeners_.front(),
      .target = link_.state() == upstream::Link::kOffline ? std::nullopt : std::optional{original},
      .accepted = [this](const Endpoint& client) { return peers_.contains(client); }};
  if (job.isolated) options.accept_timeout = kIsolatedAccept;
  auto result = kernel::judge(*netns, options);
  return result ? std::optional{*result} : std::nullopt;
}

void AdmissionControl::settle(kernel::NetnsCookie cookie,
                              const std::optional<kernel::Judgement>& judgement) {
  const auto now = SteadyClock::now();
  const auto outcome = namespaces_.settle(cookie, judgement, now);
  if (outcome.changed || outcome.forgotten) tell(cookie, outcome);
  for (const auto& key : outcome.circuits) {
    if (!judgement) {
      circuits_.postponed(key, now);
    } else if (judgement->listener == kernel::Reach::kConnected && interceptor_ &&
               interceptor_->close_circuit(key)) {
      circuits_.closed(key, now);
    } else {
      circuits_.failed(key, now);
    }
  }
  if (const auto it = waiters_.find(cookie); it != waiters_.end()) {
    wake(std::move(it->second));
    waiters_.erase(it);
  }
  wake(std::exchange(strangers_, {}));
}

void AdmissionControl::tell(kernel::NetnsCookie cookie, const Namespaces::Outcome& outcome) {
  const auto verdict = outcome.forgotten ? NetnsVerdict::kUnknown : outcome.verdict;
  if (interceptor_) {
    if (auto told = interceptor_->set_admission(cookie, verdict); !told) {
      telemetry::log(spdlog::level::err, "the kernel did not take a namespace's verdict",
                     {{"error", told.error().to_string()}});
    }
  }
  if (outcome.forgotten) return;
  telemetry::log(spdlog::level::info, "network namespace judged",
                 {{"netns_cookie", static_cast<std::uint64_t>(cookie)},
                  {"verdict", kernel::to_string(verdict)},
                  {"pid", outcome.pid}});
}

}  // namespace holdfast::agent
