#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "holdfast/base/result.h"

namespace holdfast::kernel {

/// A BPF map with its key and value types; does not own it. Thread-safe: each call is one system
/// call, or two where the kernel has no better.
template <class Key, class Value>
class BpfMap {
 public:
  BpfMap() = default;
  explicit BpfMap(const bpf_map* map) : fd_{bpf_map__fd(map)}, name_{bpf_map__name(map)} {}

  [[nodiscard]] std::optional<Value> find(const Key& key) const {
    Value value{};
    if (bpf_map_lookup_elem(fd_, &key, &value) != 0) return std::nullopt;
    return value;
  }
  Result<> set(const Key& key, const Value& value) {
    if (bpf_map_update_elem(fd_, &key, &value, BPF_ANY) != 0)
      return Error::from_errno("cannot write to the BPF map " + name_);
    return {};
  }
  /// Returns whether this call removed it.
  bool erase(const Key& key) { return bpf_map_delete_elem(fd_, &key) == 0; }

  /// Reads and removes; of several that try at once, one succeeds.
  std::optional<Value> take(const Key& key) {
    Value value{};
    if (bpf_map_lookup_and_delete_elem(fd_, &key, &value) == 0) return value;
    if (errno == ENOENT) return std::nullopt;
    // Hash maps have it since Linux 5.14.
    auto found = find(key);
    if (!found || !erase(key)) return std::nullopt;
    return found;
  }

  /// What was there for at least part of the call; bounded, since a busy map can lead in circles.
  [[nodiscard]] std::vector<Key> keys(std::size_t limit) const {
    std::vector<Key> out;
    Key next{};
    const Key* previous = nullptr;
    Key current{};
    while (out.size() < limit && bpf_map_get_next_key(fd_, previous, &next) == 0) {
      out.push_back(next);
      current = next;
      previous = &current;
    }
    return out;
  }

 private:
  int fd_ = -1;
  std::string name_;
};

}  // namespace holdfast::kernel
