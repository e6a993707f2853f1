#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/telemetry/trace_event.h"

namespace holdfast::telemetry {

using SharedEvent = std::shared_ptr<const TraceEvent>;

/// One subscriber's end; dropping it unsubscribes. Thread-safe.
class Subscription {
 public:
  /// What came since the last call, oldest first, and how many were lost in between.
  struct Batch {
    std::vector<SharedEvent> events;
    std::uint64_t lost = 0;
  };
  Batch take();

 private:
  friend class Broadcast;
  std::mutex mutex_;
  std::deque<SharedEvent> queue_;
  std::uint64_t lost_ = 0;
  std::size_t capacity_ = 0;
  TraceFilter filter_;
  std::function<void()> on_first_;
};

/// Fans trace events out to whoever looks on. Thread-safe. A publisher never waits for a
/// subscriber: one whose queue is full loses the event, and learns how many it lost.
class Broadcast {
 public:
  static constexpr std::size_t kMaxSubscribers = 16;

  /// False when nobody looks on: then the event need not be made.
  [[nodiscard]] bool wanted() const noexcept {
    return subscribers_count_.load(std::memory_order_relaxed) != 0;
  }
  void publish(TraceEvent event);

  /// `on_first` runs on the publisher's thread when an event comes into an empty queue: it must be
  /// quick and only post. kUnavailable when there are kMaxSubscribers already.
  Result<std::shared_ptr<Subscription>> subscribe(TraceFilter filter, std::size_t capacity,
                                                  std::function<void()> on_first);
  /// Over all subscribers, since the start.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_.load(); }

 private:
  std::atomic<std::size_t> subscribers_count_{0};
  std::atomic<std::uint64_t> lost_{0};
  std::mutex mutex_;
  std::vector<std::weak_ptr<Subscription>> subscribers_;
};

}  // namespace holdfast::telemetry
