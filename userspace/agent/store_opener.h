#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "holdfast/base/clock.h"
#include "holdfast/cache/store.h"

namespace holdfast::agent {

/// Opens the cache, whatever state the disk is in: where it can't be used the store is in memory
/// only, and the disk is tried again every half minute.
class StoreOpener {
 public:
  static constexpr std::chrono::seconds kEvery{30};

  /// An error only for options that can't work.
  Result<std::unique_ptr<cache::Store>> open(cache::StoreOptions options, const Clock& clock);
  ~StoreOpener();

  /// Why the store is in memory only; empty: it is on disk.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  /// The disk can be used again: what starts now has a store on it.
  [[nodiscard]] bool usable_again() const { return usable_again_; }

 private:
  void retry(const Clock& clock);

  cache::StoreOptions options_;
  std::string problem_;
  std::atomic<bool> usable_again_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace holdfast::agent
