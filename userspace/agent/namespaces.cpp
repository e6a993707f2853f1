#include "agent/namespaces.h"

#include <algorithm>
#include <utility>

namespace holdfast::agent {

using kernel::NetnsVerdict;

NetnsVerdict Namespaces::verdict_of(const Entry& entry) {
  return entry.isolated ? NetnsVerdict::kIsolated : entry.policy;
}

int Namespaces::rank(const Entry& entry) {
  if (verdict_of(entry) == NetnsVerdict::kUnknown) return 0;
  return entry.circuits.empty() ? 2 : 1;
}

void Namespaces::ask(Entry& entry, Time at) {
  if (!entry.due || *entry.due > at) entry.due = at;
}

bool Namespaces::saw(Cookie cookie, const Place& place, Time now) {
  if (entries_.size() >= kMost && !entries_.contains(cookie)) return false;
  auto& entry = entries_[cookie];
  const auto inode = place.inode != 0 ? place.inode : entry.place.inode;
  entry.place = place;
  entry.place.inode = inode;
  entry.seen = now;
  if (verdict_of(entry) == NetnsVerdict::kUnknown) ask(entry, std::max(now, entry.tried + kRetry));
  return true;
}

void Namespaces::locate(Cookie cookie, const Endpoint& address) {
  const auto it = entries_.find(cookie);
  if (it == entries_.end()) return;
  auto& known = it->second.addresses;
  if (known.size() < kMostAddresses) known.insert(address.address);
}

bool Namespaces::has_inode(Cookie cookie) const {
  const auto it = entries_.find(cookie);
  return it != entries_.end() && it->second.place.inode != 0;
}

NetnsVerdict Namespaces::verdict(Cookie cookie) const {
  const auto it = entries_.find(cookie);
  return it == entries_.end() ? NetnsVerdict::kUnknown : verdict_of(it->second);
}

bool Namespaces::settled(Cookie cookie) const {
  const auto it = entries_.find(cookie);
  return it != entries_.end() && it->second.entered && !it->second.judging;
}

Namespaces::Standing Namespaces::behind(const Endpoint& address) const {
  bool refused = false, unjudged = false;
  for (const auto& [cookie, entry] : entries_) {
    // An address may go to another pod once this one is gone.
    if (!entry.addresses.contains(address.address) || !alive_(entry.place.pid)) continue;
    const auto verdict = verdict_of(entry);
    if (verdict == NetnsVerdict::kAdmitted) return Standing::kAdmitted;
    (verdict == NetnsVerdict::kUnknown ? unjudged : refused) = true;
  }
  return refused && !unjudged ? Standing::kRefused : Standing::kUnjudged;
}

bool Namespaces::probe(const kernel::CircuitKey& key, Time now) {
  const auto it = entries_.find(key.netns_cookie);
  if (it == entries_.end()) return false;
  it->second.circuits.insert(key);
  ask(it->second, now);
  return true;
}

bool Namespaces::overdue(const Entry& entry, Time now, bool online) const {
  const auto since = now - entry.tried;
  if (entry.isolated) return since >= entry.isolated_pause;
  if (online && entry.policy != NetnsVerdict::kUnknown) return since >= kRepeat;
  // To find out whether it still exists.
  return now - entry.seen >= kForget && since >= kRepeat;
}

void Namespaces::tick(Time now, bool online) {
  std::vector<std::pair<Time, Entry*>> late;
  for (auto& [cookie, entry] : entries_) {
    if (!entry.judging && !entry.due && overdue(entry, now, online)) {
      late.emplace_back(entry.tried, &entry);
    }
  }
  // Not all in one burst: the API server would see it as one, and new namespaces wait meanwhile.
  const auto quota = std::min(late.size(), entries_.size() / kSpread + 1);
  std::partial_sort(late.begin(), late.begin() + static_cast<std::ptrdiff_t>(quota), late.end());
  for (std::size_t i = 0; i < quota; ++i) ask(*late[i].second, now);
}

std::optional<Namespaces::Job> Namespaces::next(Time now) {
  auto best = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    const auto& entry = it->second;
    if (entry.judging || !entry.due || *entry.due > now) continue;
    if (best == entries_.end() ||
        std::pair{rank(entry), *entry.due} < std::pair{rank(best->second), *best->second.due}) {
      best = it;
    }
  }
  if (best == entries_.end()) return std::nullopt;
  auto& entry = best->second;
  entry.judging = true;
  entry.due.reset();
  return Job{.cookie = best->first, .place = entry.place, .isolated = entry.isolated};
}

std::optional<Namespaces::Time> Namespaces::next_due() const {
  std::optional<Time> first;
  for (const auto& [cookie, entry] : entries_) {
    if (!entry.judging && entry.due && (!first || *entry.due < *first)) first = entry.due;
  }
  return first;
}

void Namespaces::take(Entry& entry, const kernel::Judgement& judgement, Time now) {
  entry.entered = true;
  if (judgement.listener != kernel::Reach::kConnected) {
    // The first pause is the shortest, and begins anew after each time that it was reached.
    entry.isolated_pause = entry.isolated
                               ? std::min<Duration>(2 * entry.isolated_pause, kRepeatIsolatedMost)
                               : Duration{kRepeatIsolated};
    entry.isolated = true;
    return;
  }
  entry.isolated = false;
  switch (judgement.verdict) {
    case NetnsVerdict::kAdmitted:
      entry.policy = NetnsVerdict::kAdmitted;
      entry.denied_once = false;
      break;
    case NetnsVerdict::kDenied:
      // A lost SYN must not cut off a pod for a minute: asked again before it is believed.
      if (entry.policy == NetnsVerdict::kAdmitted && !entry.denied_once) {
        entry.denied_once = true;
        ask(entry, now + kConfirm);
      } else {
        entry.policy = NetnsVerdict::kDenied;
        entry.denied_once = false;
      }
      break;
    default:  // what could not be found out leaves the last verdict in force
      break;
  }
}

Namespaces::Outcome Namespaces::settle(Cookie cookie,
                                       const std::optional<kernel::Judgement>& judgement,
                                       Time now) {
  const auto it = entries_.find(cookie);
  if (it == entries_.end()) return {};
  auto& entry = it->second;
  Outcome out{.pid = entry.place.pid, .circuits = {entry.circuits.begin(), entry.circuits.end()}};
  const auto before = verdict_of(entry);
  entry.judging = false;
  entry.tried = now;
  entry.circuits.clear();
  entry.due.reset();  // what was asked for meanwhile is answered
  if (judgement) take(entry, *judgement, now);
  out.verdict = verdict_of(entry);
  out.changed = out.verdict != before;
  const bool wanted = now - entry.seen < kWanted;
  if (wanted && out.verdict == NetnsVerdict::kUnknown) ask(entry, now + kRetry);
  if (!judgement && now - entry.seen >= kForget) {
    out.forgotten = true;
    entries_.erase(it);
  }
  return out;
}

}  // namespace holdfast::agent
