#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "cache/archive.h"

namespace holdfast::cache {

/// Which groups have changes on the way that their principal has seen already. A reader waits for
/// them (milliseconds), so that it never gets an answer from before.
class Unsettled {
 public:
  void add(const Id& group);
  void remove(const Id& group);
  [[nodiscard]] bool idle() const { return total_ == 0 && !flooded_; }
  /// While it is set, changes of any group may be on the way.
  void flooded(bool value);
  /// False when changes are still on the way after `limit`.
  bool wait(const Id& group, std::chrono::milliseconds limit);

 private:
  std::mutex mutex_;
  std::condition_variable settled_;
  std::map<Id, std::size_t> counts_;
  std::atomic<std::size_t> total_{0};
  std::atomic<bool> flooded_{false};
};

/// The one thread that writes. Tasks run in order; their changes are committed together.
class Writer {
 public:
  struct Task {
    std::function<bool()> run;  ///< false: nothing is stored
    /// Bytes held while it waits. 0 is always accepted: what must not be lost. Of that there is a
    /// bound, too: where more waits than kMaxTasks (a disk that hangs), everything that was shown
    /// is forgotten instead.
    std::size_t cost = 0;
    bool sync = false;               ///< on disk, not only written
    std::function<void(bool)> done;  ///< after the commit; may be empty
    std::optional<Id> group;         ///< unsettled until then
  };

  static constexpr std::size_t kMaxTasks = 65'536;

  Writer(Archive& archive, Shelf& disk, Shelf& memory, Unsettled& unsettled,
         std::size_t queue_bytes);
  ~Writer();
  void start();
  /// Runs what is queued and ends the thread; later tasks are refused.
  void stop();
  /// False when the queue's bound is met or the writer has stopped.
  bool post(Task task);
  [[nodiscard]] std::size_t queued_bytes() const { return queued_; }

 private:
  static constexpr std::size_t kBatchOps = 200;
  static constexpr std::size_t kBatchBytes = 1u << 20;
  static constexpr std::chrono::milliseconds kBatchTime{5};
  static constexpr std::size_t kSweepRows = 256;
  static constexpr std::size_t kWakeBytes = 64u << 10;  ///< queued pieces that are worth a waking

  void run();
  void run_batch(std::unique_lock<std::mutex>& lock);
  void forget_all();
  bool commit(bool sync);
  void tend();
  /// True when there is more of it to do.
  bool sweep();

  Archive& archive_;
  Shelf& disk_;
  Shelf& memory_;
  Unsettled& unsettled_;
  const std::size_t bound_;
  std::atomic<std::size_t> queued_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> queue_;
  bool stopping_ = false;
  bool flooded_ = false;  ///< nothing is accepted until all that was shown is forgotten
  std::chrono::steady_clock::time_point usage_saved_ = std::chrono::steady_clock::now();
  std::thread thread_;
};

}  // namespace holdfast::cache
