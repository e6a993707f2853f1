#include "tls/splice_memory.h"

#include <algorithm>

namespace holdfast::tls {

void SpliceMemory::touch(Entry& entry) {
  ages_.splice(ages_.begin(), ages_, entry.age);
}

std::optional<Reason> SpliceMemory::lookup(const ClientKey& client) {
  const std::scoped_lock lock{mutex_};
  const auto it = entries_.find(client);
  if (it == entries_.end()) return std::nullopt;
  auto& entry = it->second;
  touch(entry);
  if (clock_.now() < entry.until) return entry.reason;
  entry.on_trial = true;
  entry.until = clock_.now() + kTrial;
  return std::nullopt;
}

void SpliceMemory::failed(const ClientKey& client, Reason reason) {
  const std::scoped_lock lock{mutex_};
  const auto now = clock_.now();
  auto it = entries_.find(client);
  if (it == entries_.end()) {
    if (entries_.size() >= capacity_) {
      entries_.erase(ages_.back());
      ages_.pop_back();
    }
    ages_.push_front(client);
    entries_.emplace(client, Entry{.reason = reason,
                                   .pause = kFirst,
                                   .until = now + kFirst,
                                   .on_trial = false,
                                   .age = ages_.begin()});
    return;
  }
  auto& entry = it->second;
  touch(entry);
  entry.reason = reason;
  // Connections that were under way together fail together: only a failed re-test counts twice.
  if (!entry.on_trial) return;
  entry.on_trial = false;
  entry.pause = std::min<std::chrono::steady_clock::duration>(entry.pause * 2, kLongest);
  entry.until = now + entry.pause;
}

void SpliceMemory::succeeded(const ClientKey& client) {
  const std::scoped_lock lock{mutex_};
  const auto it = entries_.find(client);
  // A handshake that began before the failure says nothing about it: only a re-test forgives.
  if (it == entries_.end() || !it->second.on_trial) return;
  ages_.erase(it->second.age);
  entries_.erase(it);
}

std::size_t SpliceMemory::size() const {
  const std::scoped_lock lock{mutex_};
  return entries_.size();
}

}  // namespace holdfast::tls
