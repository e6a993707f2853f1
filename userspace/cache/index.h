#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "cache/kv.h"
#include "cache/records.h"

namespace holdfast::cache {

/// When something was last read; readers move it without a lock.
struct Usage {
  std::atomic<std::int64_t> used_ms{0};
};

struct CollectionState {
  CollectionMeta meta;
  std::shared_ptr<Usage> usage = std::make_shared<Usage>();
};

/// What one principal was shown of one resource. Immutable once published.
struct GroupState {
  GroupRecord record;
  std::vector<std::shared_ptr<const CollectionState>> collections;
  std::shared_ptr<Usage> loose = std::make_shared<Usage>();  ///< its GETs and documents

  [[nodiscard]] const CollectionState* find(const Id& collection) const {
    for (const auto& state : collections)
      if (state->meta.id == collection) return state.get();
    return nullptr;
  }
};

/// The groups of a shelf. A copy shares all but the shards that are changed afterwards, so a commit
/// publishes a new index for the price of what it touched.
class Index {
 public:
  [[nodiscard]] std::shared_ptr<const GroupState> find(const Id& group) const {
    const auto& shard = shards_[slot(group)];
    if (!shard) return nullptr;
    const auto it = shard->find(group);
    return it == shard->end() ? nullptr : it->second;
  }
  /// Null: the group goes.
  void set(const Id& group, std::shared_ptr<const GroupState> state) {
    auto& shard = shards_[slot(group)];
    auto copy = shard ? std::make_shared<Shard>(*shard) : std::make_shared<Shard>();
    size_ -= copy->size();
    if (state) {
      copy->insert_or_assign(group, std::move(state));
    } else {
      copy->erase(group);
    }
    size_ += copy->size();
    shard = std::move(copy);
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  template <class F>
  void each(F&& visit) const {
    for (const auto& shard : shards_) {
      if (!shard) continue;
      for (const auto& [id, state] : *shard) visit(id, state);
    }
  }

 private:
  using Shard = std::unordered_map<Id, std::shared_ptr<const GroupState>, IdHash>;
  static constexpr std::size_t kShards = 64;
  static std::size_t slot(const Id& id) { return id.bytes[15] % kShards; }
  std::array<std::shared_ptr<const Shard>, kShards> shards_;
  std::size_t size_ = 0;
};

/// GETs and documents whose newest state could not be written: they do not count.
struct LostRows {
  bool all = false;
  std::set<std::string> rows;  ///< bounded: then it is all

  [[nodiscard]] bool empty() const { return !all && rows.empty(); }
  [[nodiscard]] bool contains(const std::string& row) const { return all || rows.contains(row); }
};

/// What readers see: rows and index of one commit.
struct View {
  Kv::Snapshot snapshot;
  Index index;
  std::shared_ptr<const LostRows> lost;
};

}  // namespace holdfast::cache
