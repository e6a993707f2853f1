#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/cluster_api.h"
#include "holdfast/base/clock.h"
#include "holdfast/base/task.h"
#include "holdfast/cache/store.h"

namespace holdfast::agent {

/// Sees to it that the cache belongs to the cluster that answers: asks at each transition to
/// online, and every five minutes, which one it is and whether its resourceVersions ran backwards.
/// What clients are shown before the answer is recorded, and goes if it is another one's. On the
/// control thread.
class ClusterCheck {
 public:
  static constexpr std::chrono::minutes kEvery{5};
  static constexpr std::chrono::seconds kRetry{5};
  /// An API server that just started refuses what it has not read the roles for.
  static constexpr std::chrono::seconds kRetryRefused{10};
  static constexpr int kRefusals = 6;

  struct Parts {
    std::unique_ptr<ClusterApi> api;
    cache::Store& store;
    std::string roots;  ///< see hash_of_roots
    std::function<bool()> online;
    std::function<void()> on_other_cluster;  ///< what is known beside the cache does not count
  };
  ClusterCheck(Parts parts, const Clock& clock) : parts_{std::move(parts)}, clock_{clock} {}

  Task<> run(Executor executor);
  /// Asks if it is time to.
  Task<> tick(Executor executor);
  /// The link is back: whoever answers now may be another one.
  void recheck() {
    due_ = {};
    refusals_ = 0;
  }

 private:
  enum class Checked : std::uint8_t { kYes, kRefused, kNo };
  Task<Checked> check(Executor executor);
  void tell(const std::string& problem);

  Parts parts_;
  const Clock& clock_;
  SteadyClock::time_point due_{};
  std::string told_;
  int refusals_ = 0;
};

}  // namespace holdfast::agent
