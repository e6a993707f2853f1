#include "lease/book.h"

#include <algorithm>
#include <utility>

namespace holdfast::lease {
namespace {

using namespace std::chrono_literals;
using config::LeasePolicy;

constexpr auto kRetry = 1s;
/// Of a holder whose pace is not known yet: the kubelet's (leaseDurationSeconds of 40 s by 0.25,
/// pkg/kubelet/kubelet.go).
constexpr auto kUsualPeriod = 10s;
constexpr auto kLongestPeriod = 60s;
constexpr auto kAtOnce = 100ms;  // a retry: client-go tries five times without a pause

/// How far apart two renewals may be that go up: as configured, and well inside the duration.
SteadyClock::duration most(const LeaseObject& lease, const Terms& terms) {
  SteadyClock::duration limit = terms.interval;
  if (lease.duration > 0s) limit = std::min<SteadyClock::duration>(limit, lease.duration * 7 / 10);
  return limit;
}

SteadyClock::duration longest_period(const LeaseObject& lease) {
  if (lease.duration <= 0s) return kLongestPeriod;
  return std::min<SteadyClock::duration>(lease.duration, kLongestPeriod);
}

}  // namespace

Book::Entry* Book::find(const LeaseKey& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return nullptr;
  it->second.used = clock_.now();
  return &it->second;
}

Book::Entry& Book::make(const LeaseKey& key) {
  if (entries_.size() >= kMaxLeases && !entries_.contains(key)) {
    const auto older = [](const auto& a, const auto& b) { return a.second.used < b.second.used; };
    entries_.erase(std::ranges::min_element(entries_, older));
  }
  auto& entry = entries_[key];
  entry.used = clock_.now();
  return entry;
}

bool Book::is_plain(const Entry& entry, const LeaseObject& wanted, const Who& principal) {
  if (entry.stale || entry.principal != principal) return false;
  if (wanted.uid != entry.real.uid || wanted.rest != entry.real.rest) return false;
  if (wanted.resource_version == 0 || wanted.resource_version != entry.given) return false;
  if (!wanted.renewed || !entry.real.renewed || *wanted.renewed < *entry.real.renewed) return false;
  return !entry.held || *wanted.renewed >= entry.held->renewed;
}

bool Book::is_ours(const Entry& entry, const LeaseObject& real) {
  return entry.uncertain && real.uid == entry.uncertain->uid &&
         real.rest == entry.uncertain->rest && real.renewed == entry.uncertain->renewed;
}

void Book::become(Entry& entry, LeaseObject real, kube::Encoding encoding, std::string body) {
  entry.real = std::move(real);
  entry.encoding = encoding;
  entry.body = std::move(body);
}

Foreign Book::note_foreign(Entry& entry) {
  return std::exchange(entry.contested, true) ? Foreign::kAgain : Foreign::kFirst;
}

Verdict Book::put(const LeaseKey& key, const LeaseObject& wanted, const Who& principal,
                  const Terms& terms, bool online) {
  using Answer = Verdict::Answer;
  const std::scoped_lock lock{mutex_};
  auto* entry = find(key);
  const Verdict unknown{.answer = online ? Answer::kForward : Answer::kRefuse};
  if (!entry || !principal || entry->principal != principal) return unknown;
  const auto now = clock_.now();
  if (entry->asked != SteadyClock::time_point{}) {
    // A try that follows another one at once tells nothing about the holder's pace.
    const auto gap = now - entry->asked;
    if (gap > std::max<SteadyClock::duration>(entry->period / 2, kAtOnce)) {
      entry->period = std::min(gap, longest_period(entry->real));
    }
  }
  entry->asked = now;

  bool acknowledge = is_plain(*entry, wanted, principal);
  switch (terms.policy) {
    case LeasePolicy::kLocal:
      break;
    case LeasePolicy::kCoalesce:
      acknowledge = acknowledge && (!online || now - entry->went_up < most(entry->real, terms));
      break;
    case LeasePolicy::kHold:
      acknowledge = acknowledge && !online;
      break;
    case LeasePolicy::kForward:
    case LeasePolicy::kAuto:
      acknowledge = false;
  }
  // Of two writes of one version, the second meets a conflict with the first.
  if (entry->sending && online) {
    acknowledge = acknowledge ||
                  (is_plain(*entry, wanted, principal) && terms.policy != LeasePolicy::kForward);
    if (!acknowledge) return {.answer = Answer::kForward, .wait = true};
  }
  const bool replaced = !entry->stale && wanted.resource_version == entry->given &&
                        entry->given != entry->real.resource_version;
  Verdict verdict{.answer = acknowledge ? Answer::kAcknowledge : unknown.answer};
  if (replaced) verdict.resource_version = entry->real.resource_version;
  const bool forward = verdict.answer == Answer::kForward;
  verdict.ask_first = forward && entry->uncertain && !entry->stale;
  if (forward && !verdict.ask_first) ++entry->under_way;
  return verdict;
}

void Book::ended(const LeaseKey& key) {
  const std::scoped_lock lock{mutex_};
  if (auto* entry = find(key); entry && entry->under_way > 0) --entry->under_way;
}

Delivery Book::orphaned(const LeaseKey& key, const LeaseObject& wanted) {
  const std::scoped_lock lock{mutex_};
  if (auto* entry = find(key)) {
    entry->sending = true;
    entry->uncertain = wanted;
  }
  return {.key = key, .renewed = wanted.renewed.value_or(RenewTime{}), .wanted = wanted};
}

void Book::acknowledged(const LeaseKey& key, const LeaseObject& wanted, Holder holder,
                        const Terms& terms) {
  const std::scoped_lock lock{mutex_};
  auto* entry = find(key);
  if (!entry || !wanted.renewed) return;
  entry->given = entry->real.resource_version;
  entry->held = Held{
      .renewed = *wanted.renewed, .holder = std::move(holder), .terms = terms, .at = clock_.now()};
}

void Book::written(const LeaseKey& key, LeaseObject real, kube::Encoding encoding, std::string body,
                   const Who& principal) {
  const std::scoped_lock lock{mutex_};
  auto& entry = make(key);
  const bool same = entry.principal == principal && entry.real.uid == real.uid;
  const bool renewed = !same || entry.real.renewed != real.renewed;
  // A patch of something else leaves an acknowledged renewal in force.
  const bool overtaken = !same || entry.real.holder != real.holder ||
                         (entry.held && real.renewed >= entry.held->renewed);
  if (overtaken) entry.held.reset();
  if (renewed) entry.went_up = clock_.now();
  entry.principal = principal;
  entry.given = real.resource_version;
  entry.stale = false;
  entry.uncertain.reset();
  become(entry, std::move(real), encoding, std::move(body));
}

Foreign Book::observed(const LeaseKey& key, LeaseObject real, kube::Encoding encoding,
                       std::string body, const Who& shown_to) {
  const std::scoped_lock lock{mutex_};
  auto* entry = find(key);
  // An answer that was overtaken by a newer one says nothing.
  if (!entry || real.resource_version < entry->real.resource_version) return Foreign::kNone;
  auto foreign = Foreign::kNone;
  if (real.resource_version != entry->real.resource_version) {
    const bool ours = is_ours(*entry, real);
    if (ours) entry->went_up = clock_.now();
    if (!ours) {
      // While the holder's own PUT is under way, this may be what it made of the Lease.
      const bool may_be_ours = entry->stale || entry->under_way > 0;
      if (!may_be_ours && real.uid == entry->real.uid) foreign = note_foreign(*entry);
      entry->stale = true;
      entry->held.reset();
    }
    become(*entry, std::move(real), encoding, std::move(body));
  } else if (shown_to && shown_to == entry->principal) {
    // What it reads it will write, in the encoding that it reads.
    become(*entry, std::move(real), encoding, std::move(body));
  }
  entry->uncertain.reset();
  if (shown_to && shown_to == entry->principal) {
    entry->given = entry->real.resource_version;
    entry->stale = false;
  }
  return foreign;
}

Foreign Book::conflict(const LeaseKey& key, kube::ResourceVersion version) {
  const std::scoped_lock lock{mutex_};
  auto* entry = find(key);
  if (!entry) return Foreign::kNone;
  const bool newest =
      !entry->stale && !entry->uncertain && version != 0 && version == entry->real.resource_version;
  entry->stale = true;
  entry->held.reset();
  return newest ? note_foreign(*entry) : Foreign::kNone;
}

void Book::forget(const LeaseKey& key) {
  const std::scoped_lock lock{mutex_};
  entries_.erase(key);
}

void Book::clear() {
  const std::scoped_lock lock{mutex_};
  entries_.clear();
}

std::optional<Book::View> Book::view(const LeaseKey& key, const Who& principal) const {
  const std::scoped_lock lock{mutex_};
  const auto it = entries_.find(key);
  if (it == entries_.end() || !principal || it->second.principal != principal || it->second.stale) {
    return std::nullopt;
  }
  const auto& entry = it->second;
  View view{.encoding = entry.encoding,
            .body = entry.body,
            .resource_version = entry.real.resource_version,
            .acknowledged = {}};
  if (entry.held && entry.held->renewed > entry.real.renewed) {
    view.acknowledged = entry.held->renewed;
  }
  return view;
}

std::string Book::holder(const LeaseKey& key) const {
  const std::scoped_lock lock{mutex_};
  const auto it = entries_.find(key);
  return it == entries_.end() ? std::string{} : it->second.real.holder;
}

std::vector<Delivery> Book::due(const void* thread) {
  const std::scoped_lock lock{mutex_};
  const auto now = clock_.now();
  std::vector<Delivery> out;
  for (auto& [key, entry] : entries_) {
    if (!entry.held || entry.sending || entry.under_way > 0 || entry.held->holder.thread != thread)
      continue;
    const auto& held = *entry.held;
    if (held.terms.policy == LeasePolicy::kLocal) continue;
    const auto period = entry.period.count() > 0 ? entry.period : kUsualPeriod;
    // A dead holder must look dead (the node lifecycle controller takes any advance of renewTime
    // for a sign of life, pkg/controller/nodelifecycle).
    if (held.holder.connection.expired() || now - held.at > period) {
      entry.held.reset();
      continue;
    }
    if (now < entry.retry) continue;
    if (held.terms.policy == LeasePolicy::kCoalesce &&
        now - entry.went_up < most(entry.real, held.terms)) {
      continue;
    }
    auto body = with_renew_time(entry.encoding, entry.body, held.renewed);
    if (!body) {
      entry.held.reset();
      continue;
    }
    entry.sending = true;
    out.push_back({.key = key,
                   .holder = held.holder,
                   .encoding = entry.encoding,
                   .body = std::move(*body),
                   .renewed = held.renewed,
                   .wanted = entry.real,
                   .ask_first = entry.uncertain.has_value()});
    out.back().wanted.renewed = held.renewed;
  }
  return out;
}

void Book::delivered(const Delivery& delivery, LeaseObject real, kube::Encoding encoding,
                     std::string body) {
  const std::scoped_lock lock{mutex_};
  auto* entry = find(delivery.key);
  if (!entry) return;
  entry->sending = false;
  if (real.resource_version < entry->real.resource_version) return;
  if (entry->held && entry->held->renewed <= delivery.renewed) entry->held.reset();
  entry->went_up = clock_.now();
  entry->uncertain.reset();
  // `given` stays: the holder's next renewal is based on what it was given.
  become(*entry, std::move(real), encoding, std::move(body));
}

void Book::undelivered(const Delivery& delivery, Undelivered how) {
  const std::scoped_lock lock{mutex_};
  auto* entry = find(delivery.key);
  if (!entry) return;
  entry->sending = false;
  entry->retry = clock_.now() + (how == Undelivered::kLater ? kRetry : 0s);
  switch (how) {
    case Undelivered::kUnanswered:
      entry->uncertain = delivery.wanted;
      break;
    case Undelivered::kAsked:
    case Undelivered::kRefused:
      entry->stale = true;
      entry->held.reset();
      break;
    case Undelivered::kLater:
      break;
  }
}

std::vector<LeaseKey> Book::contested() const {
  const std::scoped_lock lock{mutex_};
  std::vector<LeaseKey> out;
  for (const auto& [key, entry] : entries_) {
    if (entry.contested) out.push_back(key);
  }
  return out;
}

}  // namespace holdfast::lease
