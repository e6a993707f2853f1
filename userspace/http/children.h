#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <cstddef>
#include <memory>

#include "holdfast/base/event.h"
#include "holdfast/base/task.h"

namespace holdfast::http {

/// The coroutines of one connection. Like a Nursery, but a child can be cancelled alone (a client
/// resets one stream), and the connection outlives each of them by itself.
class Children {
 public:
  explicit Children(Executor executor) : executor_{executor}, idle_{executor} {}

  /// Starts `child`, at once when called on the executor. `keep` lives until it ended; it owns
  /// this object and the signal of `slot`.
  void spawn(Task<> child, std::shared_ptr<void> keep, boost::asio::cancellation_slot slot = {});
  /// Returns when no child is left.
  Task<> join();
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  Executor executor_;
  Event idle_;
  std::size_t size_ = 0;
};

/// A handler threw: the one thing here that is our own fault, and so is logged.
void log_failure(const char* what);
[[noreturn]] void throw_cancelled();

}  // namespace holdfast::http
