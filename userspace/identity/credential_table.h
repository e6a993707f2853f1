#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "identity/record.h"

namespace holdfast::identity {

struct CredentialEntry {
  explicit CredentialEntry(CredentialRecord r)
      : record{std::move(r)}, accepted{record.accepted}, persisted{record.accepted} {}

  const CredentialRecord record;
  std::atomic<std::int64_t> accepted;   ///< newer than record.accepted
  std::atomic<std::int64_t> persisted;  ///< the `accepted` that is in the store
  /// Not 0: the API server was never asked; only the signature is known to be good, by this
  /// generation of the JWKS. Never persisted.
  std::uint64_t verified_by = 0;
};
using EntryPtr = std::shared_ptr<CredentialEntry>;

/// Credentials by hash: bounded, sharded, and mirrored into the store. A lookup takes one shared
/// lock; what is written to the store is written outside of it.
class CredentialTable {
 public:
  CredentialTable(CredentialStore& store, std::size_t capacity);

  /// Reads back what the store holds. Records for which `keep` is false are dropped.
  std::vector<EntryPtr> load(const std::function<bool(const CredentialRecord&)>& keep);
  [[nodiscard]] EntryPtr find(const CredentialHash& hash) const;
  /// Replaces what was there. Returns the learned entries that went: replaced or pushed out.
  std::vector<EntryPtr> insert(const CredentialHash& hash, EntryPtr entry);
  /// Returns the entry that went, if any.
  EntryPtr erase(const CredentialHash& hash);
  template <class F>
  void each(F visit) const {
    for (const auto& shard : shards_) {
      std::shared_lock lock{shard.mutex};
      for (const auto& [hash, entry] : shard.entries) visit(*entry);
    }
  }
  /// Removes all, from the store too. Returns the learned ones.
  std::vector<EntryPtr> clear();
  /// Writes the entry's last acceptance.
  void persist(const CredentialHash& hash, const CredentialEntry& entry);

 private:
  static constexpr std::size_t kShards = 16;
  struct HashOfHash {
    std::size_t operator()(const CredentialHash& hash) const {
      std::size_t value;  // an HMAC is uniform wherever it is cut
      std::memcpy(&value, hash.bytes.data() + 8, sizeof value);
      return value;
    }
  };
  using Map = std::unordered_map<CredentialHash, EntryPtr, HashOfHash>;
  struct Shard {
    mutable std::shared_mutex mutex;
    std::mutex store_mutex;  ///< orders writes of the index; taken before `mutex`
    Map entries;
  };

  static std::size_t shard_of(const CredentialHash& hash) { return hash.bytes[0] % kShards; }
  static Map::iterator oldest(Map& entries);
  void write_index(std::size_t shard);

  CredentialStore& store_;
  const std::size_t shard_capacity_;
  std::array<Shard, kShards> shards_;
};

}  // namespace holdfast::identity
