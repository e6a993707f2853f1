#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

#include "holdfast/base/clock.h"
#include "holdfast/identity/credential.h"

namespace holdfast::identity {

/// Unix seconds that never run behind what was persisted, so that setting the node's clock back, or
/// a node without a battery, does not revive expired tokens. Where the wall clock is behind, time
/// goes on by the steady clock. Thread-safe.
class TrustedClock {
 public:
  TrustedClock(CredentialStore& store, const Clock& clock);

  /// Exact to a second; within one it costs two loads. Also persists the time when the last
  /// persisted one is a minute old.
  std::int64_t now();
  /// The API server just accepted a token that expired at `expires`: if only our memory of a later
  /// time says that this is over, that memory is wrong (a clock that once ran ahead), and the wall
  /// clock is taken again.
  void accepted_until(std::int64_t expires);

 private:
  std::int64_t wall() const;
  std::int64_t refresh(std::chrono::steady_clock::time_point steady);

  CredentialStore& store_;
  const Clock& clock_;
  std::mutex mutex_;
  std::int64_t anchor_ = 0;  ///< trusted seconds at anchor_steady_
  std::chrono::steady_clock::time_point anchor_steady_;
  std::int64_t persisted_ = 0;
  std::atomic<std::int64_t> current_{0};
  std::atomic<std::chrono::steady_clock::duration::rep> refresh_at_{0};
};

}  // namespace holdfast::identity
