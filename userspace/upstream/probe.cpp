#include "upstream/probe.h"

#include <algorithm>

namespace holdfast::upstream {

ProbePace::Duration ProbePace::interval(Link state) {
  switch (state) {
    case Link::kOnline:
      return intervals_.online;
    case Link::kSuspect:
      return intervals_.suspect;
    case Link::kOffline:
      return offline_interval_;
  }
  return intervals_.suspect;
}

bool ProbePace::due(Link state, bool vouched, Time now) {
  if (state != state_) {
    state_ = state;
    offline_interval_ = intervals_.offline_min;
    if (state == Link::kSuspect) hurried_ = true;
    if (state == Link::kOffline) last_ = now;  // the probes of the suspect state just failed
  }
  if (!hurried_) {
    if (state == Link::kOnline && vouched) {
      last_ = now;
      return false;
    }
    if (now - last_ < interval(state)) return false;
    if (state == Link::kOffline) {
      offline_interval_ = std::min(offline_interval_ * 2, intervals_.offline_max);
    }
  }
  hurried_ = false;
  last_ = now;
  return true;
}

}  // namespace holdfast::upstream
