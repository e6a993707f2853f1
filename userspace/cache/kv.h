#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"

namespace holdfast::cache {

/// The state of a Kv at one moment, for as long as it is held.
class KvSnapshot {
 public:
  virtual ~KvSnapshot() = default;
};

/// Walks over the keys with one prefix, in order.
class KvCursor {
 public:
  virtual ~KvCursor() = default;
  [[nodiscard]] virtual bool valid() const = 0;
  virtual void next() = 0;
  [[nodiscard]] virtual std::string_view key() const = 0;
  [[nodiscard]] virtual std::string_view value() const = 0;
  /// Not valid any more for another reason than the end.
  [[nodiscard]] virtual Result<void> status() const = 0;
};

/// One change of a batch; no value: the key goes.
struct KvOp {
  std::string_view key;
  std::optional<std::string_view> value;
};

/// The seam to the storage engine: ordered keys, atomic batches, snapshots. Reads are thread-safe.
class Kv {
 public:
  using Snapshot = std::shared_ptr<const KvSnapshot>;

  /// Below this the engine can't keep within its budget.
  static constexpr std::uint64_t kMinBudget = 16u << 20;
  /// The part of a budget that rows may take: the rest is what they cost beside.
  static constexpr std::uint64_t live_share(std::uint64_t budget) { return budget / 100 * 33; }

  /// RocksDB in `directory`, within `budget` bytes of it if nothing is written that
  /// `has_room` does not allow. kCorrupt when what is there can't be opened.
  static Result<std::unique_ptr<Kv>> open_disk(const std::filesystem::path& directory,
                                               std::uint64_t budget);
  /// RocksDB over an environment in memory, so that one logic serves both residences.
  static Result<std::unique_ptr<Kv>> open_memory();
  virtual ~Kv() = default;
  /// True if the log of changes did not end as it should when this was opened: it is torn (power
  /// was lost) or damaged, and what came after that place is gone.
  [[nodiscard]] virtual bool log_was_damaged() const { return false; }

  virtual Snapshot snapshot() = 0;
  /// False: no such key. kCorrupt: the engine's own check failed.
  virtual Result<bool> get(std::string_view key, std::string& value, const KvSnapshot* at) = 0;
  /// One result per key, as `get`.
  virtual std::vector<Result<bool>> multi_get(const std::vector<std::string>& keys,
                                              std::vector<std::string>& values,
                                              const KvSnapshot* at) = 0;
  virtual std::unique_ptr<KvCursor> scan(std::string_view prefix, const KvSnapshot* at) = 0;
  virtual Result<void> write(const std::vector<KvOp>& ops, bool sync) = 0;
  /// Brings to disk what was written without `sync`. May block for long.
  virtual Result<void> sync() = 0;
  /// Removes all keys from `from` on and below `to`.
  virtual Result<void> erase_range(std::string_view from, std::string_view to) = 0;
  /// True if so many bytes can be written without the files ever growing beyond the budget,
  /// whatever is compacted meanwhile.
  virtual bool has_room(std::size_t bytes) = 0;
  /// Another budget. May take its time: files are rewritten when it is smaller.
  virtual Result<void> set_budget(std::uint64_t bytes) = 0;
  /// After a failed write: tries to accept writes again.
  virtual Result<void> resume() = 0;
};

}  // namespace holdfast::cache
