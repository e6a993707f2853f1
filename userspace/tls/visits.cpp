#include "holdfast/tls/visits.h"

#include <algorithm>

namespace holdfast::tls {

Visits::Visit::Visit(Visits& visits, Visitor visitor, Time now)
    : visits_{visits}, visitor_{std::move(visitor)}, began_{now} {
  const std::scoped_lock lock{visits_.mutex_};
  ++visits_.known_[visitor_].open;
}

Visits::Visit::~Visit() {
  const std::scoped_lock lock{visits_.mutex_};
  const auto it = visits_.known_.find(visitor_);
  if (--it->second.open == 0) {
    visits_.known_.erase(it);
  } else if (served_) {
    it->second.served = std::chrono::steady_clock::now();
  }
}

bool Visits::Visit::served(Time now) {
  if (std::exchange(served_, true)) return false;
  const std::scoped_lock lock{visits_.mutex_};
  auto& served = visits_.known_[visitor_].served;
  served = std::max(served, now);
  return true;
}

bool Visits::Visit::is_refusal() const {
  const std::scoped_lock lock{visits_.mutex_};
  const auto& known = visits_.known_.at(visitor_);
  return !served_ && known.open == 1 && known.served < began_;
}

std::size_t Visits::size() const {
  const std::scoped_lock lock{mutex_};
  return known_.size();
}

}  // namespace holdfast::tls
