#include "cache/writer.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

namespace holdfast::cache {

void Unsettled::add(const Id& group) {
  const std::lock_guard lock{mutex_};
  ++counts_[group];
  ++total_;
}

void Unsettled::remove(const Id& group) {
  {
    const std::lock_guard lock{mutex_};
    const auto it = counts_.find(group);
    if (--it->second == 0) counts_.erase(it);
    --total_;
  }
  settled_.notify_all();
}

void Unsettled::flooded(bool value) {
  flooded_ = value;
}

bool Unsettled::wait(const Id& group, std::chrono::milliseconds limit) {
  if (flooded_) return false;
  if (total_ == 0) return true;
  std::unique_lock lock{mutex_};
  return settled_.wait_for(lock, limit, [&] { return !counts_.contains(group); });
}

Writer::Writer(Archive& archive, Shelf& disk, Shelf& memory, Unsettled& unsettled,
               std::size_t queue_bytes)
    : archive_{archive}, disk_{disk}, memory_{memory}, unsettled_{unsettled}, bound_{queue_bytes} {}

Writer::~Writer() {
  stop();
}

void Writer::start() {
  thread_ = std::thread{[this] {
    ::pthread_setname_np(::pthread_self(), "cache-writer");
    run();
  }};
}

void Writer::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

bool Writer::post(Task task) {
  std::unique_lock lock{mutex_};
  if (!flooded_ && !stopping_ && queue_.size() >= kMaxTasks) {
    flooded_ = true;
    unsettled_.flooded(true);
  }
  if (stopping_ || flooded_) {
    lock.unlock();
    // Whoever waits for a task that is always accepted must hear of it.
    if (task.cost == 0 && task.done) task.done(false);
    return false;
  }
  if (task.cost > 0 && queued_ + task.cost > bound_) return false;
  queued_ += task.cost;
  // A piece of an answer can wait for the rest of it: one waking for a GET, not two, before its
  // client has the answer.
  const bool can_wait = task.cost > 0 && !task.group && queued_ < kWakeBytes;
  if (task.group) unsettled_.add(*task.group);
  queue_.push_back(std::move(task));
  lock.unlock();
  if (!can_wait) wake_.notify_one();
  return true;
}

void Writer::run() {
  std::unique_lock lock{mutex_};
  bool more = true;
  for (;;) {
    if (queue_.empty() && !stopping_ && !more) wake_.wait_for(lock, std::chrono::seconds{1});
    if (!queue_.empty()) {
      run_batch(lock);
      more = true;
      continue;
    }
    if (flooded_) {
      lock.unlock();
      forget_all();
      lock.lock();
      flooded_ = false;
      unsettled_.flooded(false);
      continue;
    }
    if (stopping_) break;
    lock.unlock();
    more = sweep();
    tend();
    lock.lock();
  }
  lock.unlock();
  archive_.expire(true);
  for (auto* shelf : {&disk_, &memory_}) {
    shelf->save_usage();
    shelf->commit(true);
  }
}

void Writer::run_batch(std::unique_lock<std::mutex>& lock) {
  struct Ran {
    Task task;
    bool stored;
  };
  std::vector<Ran> ran;
  bool sync = false;
  const auto losses = disk_.losses() + memory_.losses();
  const auto began = std::chrono::steady_clock::now();
  while (!queue_.empty()) {
    Task task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const bool stored = task.run();
    sync = sync || task.sync;
    queued_ -= task.cost;
    task.run = nullptr;  // frees the bytes that it held
    ran.push_back({std::move(task), stored});
    lock.lock();
    if (disk_.txn().ops() + memory_.txn().ops() >= kBatchOps ||
        disk_.txn().bytes() + memory_.txn().bytes() >= kBatchBytes ||
        std::chrono::steady_clock::now() - began >= kBatchTime)
      break;
  }
  lock.unlock();
  commit(sync);
  const bool whole = losses == disk_.losses() + memory_.losses();
  for (auto& [task, stored] : ran) {
    if (task.group) unsettled_.remove(*task.group);
    if (task.done) task.done(stored && whole);
  }
  ran.clear();
  for (auto* shelf : {&disk_, &memory_})
    if (!shelf->make_room() && shelf->live_bytes() > shelf->budget()) archive_.expire(true);
  lock.lock();
}

/// What was refused meanwhile is not known: a purge may be among it.
void Writer::forget_all() {
  spdlog::warn("cache: more changes than could wait for the disk; lists are relearned");
  archive_.expire(true);
  // Where the disk does not take it, nothing of it is served all the same.
  for (auto* shelf : {&disk_, &memory_}) (void)shelf->wipe(Shelf::Wipe::kShown);
  archive_.begin_era();  // a watch may lack an event
}

bool Writer::commit(bool sync) {
  const bool disk = disk_.commit(sync);
  return memory_.commit(false) && disk;
}

bool Writer::sweep() {
  const bool disk = disk_.sweep(kSweepRows), memory = memory_.sweep(kSweepRows);
  commit(false);
  return disk || memory;
}

void Writer::tend() {
  archive_.expire(false);
  const auto now = std::chrono::steady_clock::now();
  if (now - usage_saved_ > std::chrono::minutes{10}) {
    usage_saved_ = now;
    disk_.save_usage();
  }
  commit(false);
}

}  // namespace holdfast::cache
