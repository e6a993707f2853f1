#include "watchdog/policy.h"

#include <algorithm>

namespace holdfast::watchdog {

bool SilenceJudge::is_silent(std::uint64_t beats, Milliseconds step) {
  if (beats != last_beats_) {
    last_beats_ = beats;
    silence_ = Milliseconds{0};
    return false;
  }
  silence_ += std::min(step, kLongestStep);
  return silence_ > (beats == 0 ? options_.startup_limit : options_.silence_limit);
}

Milliseconds Backoff::after(Milliseconds lifetime) {
  if (lifetime >= options_.healthy_after) next_ = options_.first_backoff;
  const Milliseconds pause = next_;
  next_ = std::min(next_ * 2, options_.longest_backoff);
  return pause;
}

}  // namespace holdfast::watchdog
