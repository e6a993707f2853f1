#pragma once

#include <chrono>

#include "holdfast/base/task.h"
#include "holdfast/upstream/link_monitor.h"

namespace holdfast::upstream {

/// When to ask /readyz: at once and often while the link is suspect, ever more seldom while it is
/// offline, and while it is online only if no open connection tells how it is.
class ProbePace {
 public:
  using Time = SteadyClock::time_point;
  using Duration = SteadyClock::duration;
  struct Intervals {
    Duration online, suspect, offline_min, offline_max;
  };

  explicit ProbePace(Intervals intervals) : intervals_{intervals} {}

  void configure(Intervals intervals) { intervals_ = intervals; }
  /// True when a round of probes is to start now; the next one is then counted from here.
  /// `vouched`: some connection is open and answers PINGs.
  bool due(Link state, bool vouched, Time now);
  /// Something broke: do not wait for the interval.
  void hurry() { hurried_ = true; }

 private:
  [[nodiscard]] Duration interval(Link state);

  Intervals intervals_;
  Link state_ = Link::kSuspect;
  Duration offline_interval_{0};
  Time last_{};
  bool hurried_ = true;  // at the start nothing is known
};

}  // namespace holdfast::upstream
