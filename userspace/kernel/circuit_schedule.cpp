#include <algorithm>

#include "holdfast/kernel/circuit.h"

namespace holdfast::kernel {

std::vector<CircuitKey> CircuitSchedule::due(std::span<const OpenCircuit> open, Time now) {
  std::vector<CircuitKey> result;
  for (const OpenCircuit& circuit : open) {
    auto [it, is_new] = entries_.try_emplace(circuit.key);
    Entry& entry = it->second;
    if (is_new) {
      entry = {.pause = kFirstPause, .next_probe = circuit.opened_at + kFirstPause};
    } else if (entry.forget_at != Time::max()) {
      // Closed by a probe that worked, and open again: the probe does not see what clients see.
      entry.pause = std::min<std::chrono::steady_clock::duration>(entry.pause * 2, kLongestPause);
      entry.next_probe = circuit.opened_at + entry.pause;
      entry.forget_at = Time::max();
    }
    if (entry.next_probe <= now) result.push_back(circuit.key);
  }
  std::erase_if(entries_, [&](const auto& item) {
    const auto& [key, entry] = item;
    if (entry.forget_at <= now) return true;
    // The kernel evicted it: nobody has used it for long.
    return entry.forget_at == Time::max() &&
           std::none_of(open.begin(), open.end(),
                        [&](const OpenCircuit& circuit) { return circuit.key == key; });
  });
  return result;
}

void CircuitSchedule::failed(const CircuitKey& key, Time now) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  Entry& entry = it->second;
  entry.pause = std::min<std::chrono::steady_clock::duration>(entry.pause * 2, kLongestPause);
  entry.next_probe = now + entry.pause;
}

void CircuitSchedule::postponed(const CircuitKey& key, Time now) {
  const auto it = entries_.find(key);
  if (it != entries_.end()) it->second.next_probe = now + kRetryPause;
}

void CircuitSchedule::closed(const CircuitKey& key, Time now) {
  const auto it = entries_.find(key);
  if (it != entries_.end()) it->second.forget_at = now + it->second.pause;
}

}  // namespace holdfast::kernel
