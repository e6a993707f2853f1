#include "identity/credential_table.h"

#include <algorithm>
#include <string>

namespace holdfast::identity {
namespace {

std::string index_name(std::size_t shard) {
  return "credentials-" + std::to_string(shard);
}

}  // namespace

CredentialTable::CredentialTable(CredentialStore& store, std::size_t capacity)
    : store_{store}, shard_capacity_{std::max<std::size_t>(capacity / kShards, 1)} {}

// The store is asked for known keys only, so each shard keeps the list of its keys there. It is
// written before the record that it announces: a crash in between leaves a key without a record,
// which is dropped here, never a record that nobody would find and delete.
std::vector<EntryPtr> CredentialTable::load(
    const std::function<bool(const CredentialRecord&)>& keep) {
  std::vector<EntryPtr> loaded;
  constexpr std::size_t kHashBytes = sizeof(CredentialHash::bytes);
  for (std::size_t i = 0; i < kShards; ++i) {
    auto& shard = shards_[i];
    std::scoped_lock lock{shard.store_mutex, shard.mutex};
    const auto index = store_.get_named(index_name(i));
    if (!index) continue;
    for (std::size_t at = 0; at + kHashBytes <= index->size(); at += kHashBytes) {
      CredentialHash hash;
      std::memcpy(hash.bytes.data(), index->data() + at, kHashBytes);
      if (shard_of(hash) != i) continue;
      const auto text = store_.get(hash);
      auto record = text ? parse_record(*text) : std::nullopt;
      if (record && keep(*record) && shard.entries.size() < shard_capacity_) {
        auto entry = std::make_shared<CredentialEntry>(std::move(*record));
        if (shard.entries.emplace(hash, entry).second) loaded.push_back(std::move(entry));
      } else if (text) {
        (void)store_.erase(hash);
      }
    }
  }
  return loaded;
}

EntryPtr CredentialTable::find(const CredentialHash& hash) const {
  const auto& shard = shards_[shard_of(hash)];
  std::shared_lock lock{shard.mutex};
  const auto it = shard.entries.find(hash);
  return it == shard.entries.end() ? nullptr : it->second;
}

// What was only verified offline goes first: it costs a signature check to have it back.
CredentialTable::Map::iterator CredentialTable::oldest(Map& entries) {
  return std::min_element(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    const bool a_learned = a.second->verified_by == 0;
    const bool b_learned = b.second->verified_by == 0;
    if (a_learned != b_learned) return b_learned;
    return a.second->accepted.load() < b.second->accepted.load();
  });
}

std::vector<EntryPtr> CredentialTable::insert(const CredentialHash& hash, EntryPtr entry) {
  const std::size_t index = shard_of(hash);
  auto& shard = shards_[index];
  std::scoped_lock store_lock{shard.store_mutex};
  std::vector<EntryPtr> gone;
  std::vector<CredentialHash> evicted;
  {
    std::scoped_lock lock{shard.mutex};
    auto& slot = shard.entries[hash];
    // A verification that raced with a review must not hide what was learned.
    if (slot && slot->verified_by == 0 && entry->verified_by != 0) return gone;
    if (slot && slot->verified_by == 0) gone.push_back(slot);
    slot = entry;
    while (shard.entries.size() > shard_capacity_) {
      auto it = oldest(shard.entries);
      if (it->first == hash) {
        if (shard.entries.size() == 1) break;
        // The newcomer is the least of them: one that was only verified among learned ones.
        shard.entries.erase(it);
        return gone;
      }
      if (it->second->verified_by == 0) {
        gone.push_back(it->second);
        evicted.push_back(it->first);
      }
      shard.entries.erase(it);
    }
  }
  if (entry->verified_by != 0 && evicted.empty()) return gone;
  write_index(index);
  // Best effort throughout: what the disk refuses is learned again after a restart.
  for (const auto& key : evicted) (void)store_.erase(key);
  if (entry->verified_by == 0) (void)store_.put(hash, serialize(entry->record));
  return gone;
}

EntryPtr CredentialTable::erase(const CredentialHash& hash) {
  const std::size_t index = shard_of(hash);
  auto& shard = shards_[index];
  std::scoped_lock store_lock{shard.store_mutex};
  EntryPtr gone;
  {
    std::scoped_lock lock{shard.mutex};
    const auto it = shard.entries.find(hash);
    if (it == shard.entries.end()) return nullptr;
    gone = std::move(it->second);
    shard.entries.erase(it);
  }
  if (gone->verified_by != 0) return nullptr;
  (void)store_.erase(hash);
  write_index(index);
  return gone;
}

std::vector<EntryPtr> CredentialTable::clear() {
  std::vector<EntryPtr> gone;
  for (std::size_t i = 0; i < kShards; ++i) {
    std::scoped_lock store_lock{shards_[i].store_mutex};
    Map entries;
    {
      std::scoped_lock lock{shards_[i].mutex};
      entries.swap(shards_[i].entries);
    }
    for (auto& [hash, entry] : entries) {
      if (entry->verified_by != 0) continue;
      (void)store_.erase(hash);
      gone.push_back(std::move(entry));
    }
    write_index(i);
  }
  return gone;
}

void CredentialTable::persist(const CredentialHash& hash, const CredentialEntry& entry) {
  auto record = entry.record;
  record.accepted = entry.accepted.load();
  std::scoped_lock store_lock{shards_[shard_of(hash)].store_mutex};
  // Refused meanwhile: must not come back.
  if (find(hash).get() != &entry) return;
  (void)store_.put(hash, serialize(record));
}

void CredentialTable::write_index(std::size_t shard) {
  std::string index;
  {
    std::shared_lock lock{shards_[shard].mutex};
    for (const auto& [hash, entry] : shards_[shard].entries) {
      if (entry->verified_by != 0) continue;
      index.append(reinterpret_cast<const char*>(hash.bytes.data()), hash.bytes.size());
    }
  }
  (void)store_.put_named(index_name(shard), index);
}

}  // namespace holdfast::identity
