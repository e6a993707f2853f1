#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <list>
#include <string>

#include "holdfast/base/event.h"
#include "holdfast/base/task.h"

namespace holdfast {

/// Where coroutines are started: it knows its children, cancels them and waits for them. Nothing
/// in this code base runs detached outside one. Not thread-safe: one io_context.
class Nursery {
 public:
  explicit Nursery(Executor executor) : executor_{executor}, idle_{executor} {}
  Nursery(const Nursery&) = delete;
  Nursery& operator=(const Nursery&) = delete;
  /// All children must have ended: `cancel` and `join` first.
  ~Nursery();

  /// Starts `child`. An exception other than a cancellation is logged under `name` and ends that
  /// child alone.
  void spawn(std::string name, Task<> child);
  /// Asks all children to stop (cancellation_type::terminal). Those spawned later are not touched.
  void cancel();
  /// Returns when no child is left.
  Task<> join();
  [[nodiscard]] std::size_t size() const { return children_.size(); }
  [[nodiscard]] Executor executor() const { return executor_; }

 private:
  using Children = std::list<boost::asio::cancellation_signal>;
  Executor executor_;
  Event idle_;
  Children children_;
};

}  // namespace holdfast
