#include "holdfast/upstream/link_monitor.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/post.hpp>
#include <list>
#include <mutex>
#include <utility>

#include "upstream/link_machine.h"

namespace holdfast::upstream {
namespace {

struct Subscription {
  Subscription(Executor e, LinkMonitor::Subscriber c) : executor{e}, call{std::move(c)} {}
  Executor executor;
  LinkMonitor::Subscriber call;
};

class LinkMonitorImpl final : public LinkMonitor {
 public:
  LinkMonitorImpl(LinkOptions options, const Clock& clock)
      : clock_{clock}, machine_{options, clock.now()} {}

  void progress(std::size_t server, SteadyClock::time_point at) override {
    heard(server, at, LinkCause::kProgress, {});
  }
  void progress(std::size_t server) override { progress(server, clock_.now()); }
  void ping_ok(std::size_t server, std::chrono::nanoseconds round_trip) override {
    heard(server, clock_.now(), LinkCause::kProgress, round_trip);
  }
  void probe_ok(std::size_t server) override { heard(server, clock_.now(), LinkCause::kProbe, {}); }

  void connect_failed(std::size_t server, ConnectFailure failure) override {
    std::scoped_lock lock{mutex_};
    publish(machine_.connect_failed(server, failure, clock_.now()));
    mirror(server);
  }
  void ping_failed(std::size_t server) override {
    std::scoped_lock lock{mutex_};
    publish(machine_.ping_failed(server, clock_.now()));
    mirror(server);
  }
  void patience_expired() override {
    std::scoped_lock lock{mutex_};
    publish(machine_.patience_expired(clock_.now()));
  }
  void late(std::size_t server) override {
    std::scoped_lock lock{mutex_};
    publish(machine_.late(server, clock_.now()));
  }
  void told_ready(std::size_t server, bool ready) override {
    std::scoped_lock lock{mutex_};
    machine_.told_ready(server, ready);
    mirror(server);
  }
  void tick() override {
    if (state() != Link::kSuspect) return;
    std::scoped_lock lock{mutex_};
    publish(machine_.tick(clock_.now()));
  }
  void set_servers(std::size_t count) override {
    std::scoped_lock lock{mutex_};
    machine_.set_servers(count);
    for (std::size_t i = 0; i < health_.size(); ++i) mirror(i);
  }

  Link state() const override { return state_.load(std::memory_order_acquire); }
  ServerHealth health(std::size_t server) const override {
    if (server >= health_.size()) return {};
    const auto& seen = health_[server];
    return {.failing = seen.failing.load(std::memory_order_relaxed),
            .srtt = std::chrono::nanoseconds{seen.srtt.load(std::memory_order_relaxed)}};
  }
  LinkSnapshot snapshot() const override {
    std::scoped_lock lock{mutex_};
    return machine_.snapshot();
  }

  std::shared_ptr<void> subscribe(Executor executor, Subscriber subscriber) override {
    auto subscription = std::make_shared<Subscription>(executor, std::move(subscriber));
    std::scoped_lock lock{mutex_};
    subscribers_.push_back(subscription);
    return subscription;
  }

 private:
  void heard(std::size_t server, SteadyClock::time_point at, LinkCause cause,
             std::optional<std::chrono::nanoseconds> round_trip) {
    std::scoped_lock lock{mutex_};
    if (round_trip) machine_.measured(server, *round_trip);
    publish(machine_.progress(server, at, clock_.wall(), cause));
    mirror(server);
  }

  // For those who read without the lock.
  void mirror(std::size_t server) {
    if (server >= health_.size()) return;
    const auto now = machine_.health(server);
    health_[server].failing.store(now.failing, std::memory_order_relaxed);
    health_[server].srtt.store(now.srtt.count(), std::memory_order_relaxed);
  }

  // Under the lock, so that every subscriber sees the transitions in their order.
  void publish(std::optional<LinkTransition> transition) {
    if (!transition) return;
    state_.store(transition->to, std::memory_order_release);
    std::erase_if(subscribers_, [](const auto& s) { return s.expired(); });
    for (const auto& weak : subscribers_) {
      const auto subscription = weak.lock();
      if (!subscription) continue;
      boost::asio::post(subscription->executor, [weak, change = *transition] {
        if (const auto alive = weak.lock()) alive->call(change);
      });
    }
  }

  const Clock& clock_;
  mutable std::mutex mutex_;
  LinkMachine machine_;
  std::atomic<Link> state_{Link::kSuspect};
  struct Seen {
    std::atomic<bool> failing{false};
    std::atomic<std::chrono::nanoseconds::rep> srtt{0};
  };
  /// More servers than this are used too; each thread then finds out for itself how they are.
  std::array<Seen, 16> health_;
  std::list<std::weak_ptr<Subscription>> subscribers_;
};

}  // namespace

std::shared_ptr<LinkMonitor> LinkMonitor::create(LinkOptions options, const Clock& clock) {
  return std::make_shared<LinkMonitorImpl>(options, clock);
}

}  // namespace holdfast::upstream
