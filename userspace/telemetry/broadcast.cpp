#include "holdfast/telemetry/broadcast.h"

#include <algorithm>

namespace holdfast::telemetry {

Subscription::Batch Subscription::take() {
  const std::lock_guard lock{mutex_};
  Batch batch;
  batch.events.assign(std::make_move_iterator(queue_.begin()),
                      std::make_move_iterator(queue_.end()));
  queue_.clear();
  batch.lost = std::exchange(lost_, 0);
  return batch;
}

void Broadcast::publish(TraceEvent event) {
  if (!wanted()) return;
  const auto shared = std::make_shared<const TraceEvent>(std::move(event));
  // Dropped after the lock is released: the last reference may be ours.
  std::vector<std::shared_ptr<Subscription>> alive;
  {
    const std::lock_guard lock{mutex_};
    alive.reserve(subscribers_.size());
    std::erase_if(subscribers_, [&](const auto& weak) {
      auto subscriber = weak.lock();
      if (!subscriber) return true;
      alive.push_back(std::move(subscriber));
      return false;
    });
    subscribers_count_.store(subscribers_.size(), std::memory_order_relaxed);
  }
  for (const auto& subscriber : alive) {
    if (!subscriber->filter_.matches(*shared)) continue;
    bool first = false;
    {
      const std::lock_guard lock{subscriber->mutex_};
      if (subscriber->queue_.size() >= subscriber->capacity_) {
        ++subscriber->lost_;
        lost_.fetch_add(1, std::memory_order_relaxed);
        continue;
      }
      first = subscriber->queue_.empty();
      subscriber->queue_.push_back(shared);
    }
    if (first && subscriber->on_first_) subscriber->on_first_();
  }
}

Result<std::shared_ptr<Subscription>> Broadcast::subscribe(TraceFilter filter, std::size_t capacity,
                                                           std::function<void()> on_first) {
  auto subscription = std::make_shared<Subscription>();
  subscription->filter_ = std::move(filter);
  subscription->capacity_ = std::max<std::size_t>(capacity, 1);
  subscription->on_first_ = std::move(on_first);
  const std::lock_guard lock{mutex_};
  std::erase_if(subscribers_, [](const auto& weak) { return weak.expired(); });
  if (subscribers_.size() >= kMaxSubscribers) {
    return make_error(Errc::kUnavailable, "too many traces are running; end one of them");
  }
  subscribers_.push_back(subscription);
  subscribers_count_.store(subscribers_.size(), std::memory_order_relaxed);
  return subscription;
}

}  // namespace holdfast::telemetry
