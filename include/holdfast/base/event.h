#pragma once

#include "holdfast/base/task.h"

namespace holdfast {

/// Lets coroutines of one io_context wait for something another one does. Not thread-safe: to wake
/// a coroutine of another thread, post to its executor.
///
/// There is no memory: `notify_all` wakes those that wait now. So test the condition in a loop:
/// `while (!ready()) co_await event.wait();` is free of races, since nothing runs in between.
class Event {
 public:
  explicit Event(Executor executor) : timer_{executor, Timer::time_point::max()} {}

  /// Returns when notified; throws operation_aborted only if the calling coroutine is cancelled.
  Task<> wait();
  /// As `wait`, but returns false when `limit` passed first.
  Task<bool> wait_for(SteadyClock::duration limit);
  void notify_all() { timer_.cancel(); }

 private:
  Timer timer_;
};

}  // namespace holdfast
