#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/sst_file_manager.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>

#include "cache/kv.h"

namespace holdfast::cache {
namespace {

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}
std::string_view view(const rocksdb::Slice& text) {
  return {text.data(), text.size()};
}

Error error_of(const rocksdb::Status& status) {
  if (status.IsCorruption()) return make_error(Errc::kCorrupt, status.ToString());
  if (status.IsNoSpace())
    return Error{boost::system::errc::make_error_code(boost::system::errc::no_space_on_device),
                 status.ToString()};
  return make_error(Errc::kUnavailable, status.ToString());
}

/// How RocksDB keeps within a budget. Of it, what is remembered gets a third (Kv::live_share); what
/// is outdated and not compacted yet may take as much again. The last
/// third is for compactions: their output is written before their input goes. Levels are small, so
/// that no compaction needs more: one file of a level meets about a third of the next one.
struct Sizes {
  explicit Sizes(std::uint64_t budget)
      : total{std::max(budget, Kv::kMinBudget)},
        write_buffer{std::clamp<std::uint64_t>(total / 64, 256u << 10, 4u << 20)},
        file{std::clamp<std::uint64_t>(total / 64, 256u << 10, 16u << 20)},
        level_base{std::clamp<std::uint64_t>(total / 16, 1u << 20, 64u << 20)} {}

  std::uint64_t total;
  std::uint64_t write_buffer, file, level_base;
  /// MANIFEST, LOG, OPTIONS, and the agent's own small files beside the store.
  static constexpr std::uint64_t kOther = 1u << 20;

  /// What tables and logs may take, without a compaction's output.
  [[nodiscard]] std::uint64_t files() const { return total / 100 * 65 - kOther; }
};

class RocksSnapshot final : public KvSnapshot {
 public:
  explicit RocksSnapshot(std::shared_ptr<rocksdb::DB> db)
      : db_{std::move(db)}, snapshot_{db_->GetSnapshot()} {}
  RocksSnapshot(const RocksSnapshot&) = delete;
  RocksSnapshot& operator=(const RocksSnapshot&) = delete;
  ~RocksSnapshot() override { db_->ReleaseSnapshot(snapshot_); }
  [[nodiscard]] const rocksdb::Snapshot* get() const { return snapshot_; }

 private:
  std::shared_ptr<rocksdb::DB> db_;
  const rocksdb::Snapshot* snapshot_;
};

rocksdb::ReadOptions read_options(const KvSnapshot* at) {
  rocksdb::ReadOptions out;
  if (at != nullptr) out.snapshot = static_cast<const RocksSnapshot*>(at)->get();
  return out;
}

class RocksCursor final : public KvCursor {
 public:
  RocksCursor(rocksdb::DB& db, std::string_view prefix, const KvSnapshot* at) : upper_{prefix} {
    // The first key after all those with the prefix; a prefix of 0xff bytes has none.
    while (!upper_.empty() && static_cast<unsigned char>(upper_.back()) == 0xff) upper_.pop_back();
    if (!upper_.empty()) upper_.back() = static_cast<char>(upper_.back() + 1);
    bound_ = slice(upper_);
    auto options = read_options(at);
    options.fill_cache = false;
    if (!upper_.empty()) options.iterate_upper_bound = &bound_;
    iterator_.reset(db.NewIterator(options));
    iterator_->Seek(slice(prefix));
  }
  [[nodiscard]] bool valid() const override { return iterator_->Valid(); }
  void next() override { iterator_->Next(); }
  [[nodiscard]] std::string_view key() const override { return view(iterator_->key()); }
  [[nodiscard]] std::string_view value() const override { return view(iterator_->value()); }
  [[nodiscard]] Result<void> status() const override {
    const auto status = iterator_->status();
    if (!status.ok()) return error_of(status);
    return {};
  }

 private:
  std::string upper_;
  rocksdb::Slice bound_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

class RocksKv final : public Kv {
 public:
  static constexpr std::size_t kSmallBatch = 64u << 10;

  RocksKv(std::shared_ptr<rocksdb::Env> env, std::unique_ptr<rocksdb::DB> db,
          std::shared_ptr<rocksdb::SstFileManager> files, std::uint64_t budget, bool log_damaged)
      : env_{std::move(env)},
        db_{std::move(db)},
        files_{std::move(files)},
        sizes_{budget},
        log_{files_ != nullptr},
        log_damaged_{log_damaged} {}
  [[nodiscard]] bool log_was_damaged() const override { return log_damaged_; }

  Snapshot snapshot() override { return std::make_shared<RocksSnapshot>(db_); }

  Result<bool> get(std::string_view key, std::string& value, const KvSnapshot* at) override {
    rocksdb::PinnableSlice pinned{&value};
    const auto status = db_->Get(read_options(at), db_->DefaultColumnFamily(), slice(key), &pinned);
    if (status.IsNotFound()) return false;
    if (!status.ok()) return error_of(status);
    if (pinned.IsPinned()) value.assign(pinned.data(), pinned.size());
    return true;
  }

  std::vector<Result<bool>> multi_get(const std::vector<std::string>& keys,
                                      std::vector<std::string>& values,
                                      const KvSnapshot* at) override {
    std::vector<rocksdb::Slice> wanted(keys.begin(), keys.end());
    std::vector<rocksdb::PinnableSlice> found(keys.size());
    std::vector<rocksdb::Status> states(keys.size());
    auto options = read_options(at);
    options.fill_cache = false;
    db_->MultiGet(options, db_->DefaultColumnFamily(), wanted.size(), wanted.data(), found.data(),
                  states.data());
    values.resize(keys.size());
    std::vector<Result<bool>> out;
    out.reserve(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (states[i].ok()) values[i].assign(found[i].data(), found[i].size());
      if (states[i].ok() || states[i].IsNotFound()) {
        out.emplace_back(states[i].ok());
      } else {
        out.emplace_back(error_of(states[i]));
      }
    }
    return out;
  }

  std::unique_ptr<KvCursor> scan(std::string_view prefix, const KvSnapshot* at) override {
    return std::make_unique<RocksCursor>(*db_, prefix, at);
  }

  Result<void> write(const std::vector<KvOp>& ops, bool sync) override {
    rocksdb::WriteBatch batch;
    for (const auto& op : ops) {
      if (op.value) {
        batch.Put(slice(op.key), slice(*op.value));
      } else {
        batch.Delete(slice(op.key));
      }
    }
    rocksdb::WriteOptions options;
    options.sync = sync && log_;
    options.disableWAL = !log_;
    const auto status = db_->Write(options, &batch);
    if (!status.ok()) return error_of(status);
    return {};
  }

  Result<void> sync() override {
    if (!log_) return {};
    const auto status = db_->FlushWAL(true);
    if (!status.ok()) return error_of(status);
    return {};
  }

  Result<void> erase_range(std::string_view from, std::string_view to) override {
    rocksdb::WriteOptions options;
    options.sync = log_;
    options.disableWAL = !log_;
    // Whole files at once: a compaction may come late.
    const auto first = slice(from), last = slice(to);
    auto status = rocksdb::DeleteFilesInRange(db_.get(), db_->DefaultColumnFamily(), &first, &last,
                                              /*include_end=*/false);
    if (status.ok()) status = db_->DeleteRange(options, db_->DefaultColumnFamily(), first, last);
    if (!status.ok()) return error_of(status);
    return {};
  }

  bool has_room(std::size_t bytes) override {
    if (!files_) return true;
    std::uint64_t in_memory = 0;
    db_->GetIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &in_memory);
    // What is in memory is in the log, too, until the table is there that it becomes.
    const auto used = files_->GetTotalSize() + 2 * (in_memory + bytes);
    // What is small is mostly what makes room: rows that go, and the accounts of it.
    const std::uint64_t more = bytes < kSmallBatch ? sizes_.total / 16 : 0;
    return used <= sizes_.files() + more;
  }

  Result<void> set_budget(std::uint64_t bytes) override {
    const Sizes next{bytes};
    const bool smaller = next.total < sizes_.total;
    sizes_ = next;
    auto status = db_->SetOptions({{"write_buffer_size", std::to_string(next.write_buffer)},
                                   {"target_file_size_base", std::to_string(next.file)},
                                   {"max_bytes_for_level_base", std::to_string(next.level_base)}});
    if (status.ok() && smaller) {
      rocksdb::CompactRangeOptions all;
      all.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
      status = db_->CompactRange(all, nullptr, nullptr);
    }
    if (!status.ok()) return error_of(status);
    return {};
  }

  Result<void> resume() override {
    const auto status = db_->Resume();
    if (!status.ok()) return error_of(status);
    return {};
  }

 private:
  std::shared_ptr<rocksdb::Env> env_;
  std::shared_ptr<rocksdb::DB> db_;
  std::shared_ptr<rocksdb::SstFileManager> files_;  // null: in memory
  Sizes sizes_;
  bool log_;  // false: in memory, nothing to replay
  const bool log_damaged_;
};

/// Sized for a small node: RocksDB's defaults peak near 100 MB of memory, these at a quarter.
rocksdb::Options small_options(std::size_t block_cache, const Sizes& sizes) {
  rocksdb::Options out;
  out.create_if_missing = true;
  out.compression = rocksdb::kNoCompression;  // encrypted values do not shrink
  out.bottommost_compression = rocksdb::kDisableCompressionOption;
  out.write_buffer_size = sizes.write_buffer;
  out.max_write_buffer_number = 2;
  out.target_file_size_base = sizes.file;
  out.max_bytes_for_level_base = sizes.level_base;
  out.level_compaction_dynamic_level_bytes = true;  // little is kept that is outdated
  out.level0_slowdown_writes_trigger = 8;
  out.level0_stop_writes_trigger = 12;
  out.max_compaction_bytes = sizes.total / 8;
  out.max_open_files = 64;
  out.max_background_jobs = 2;
  out.max_total_wal_size = 4 * sizes.write_buffer;
  out.max_manifest_file_size = 128u << 10;
  out.manifest_preallocation_size = 16u << 10;
  out.allow_fallocate = false;  // what is allocated in advance counts on disk
  out.stats_dump_period_sec = 0;
  out.stats_persist_period_sec = 0;
  out.keep_log_file_num = 1;
  out.max_log_file_size = 128u << 10;
  out.info_log_level = rocksdb::WARN_LEVEL;
  rocksdb::BlockBasedTableOptions table;
  table.block_size = 16u << 10;  // 4 KiB hurts scans
  table.block_cache = rocksdb::NewLRUCache(block_cache, 4);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return out;
}

Result<std::unique_ptr<Kv>> open(rocksdb::Options options, std::shared_ptr<rocksdb::Env> env,
                                 const std::string& path, std::uint64_t budget) {
  if (env) options.env = env.get();
  rocksdb::DB* raw = nullptr;
  // Whatever is wrong with the log is to be known; what comes before that place is good all the
  // same.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kAbsoluteConsistency;
  auto status = rocksdb::DB::Open(options, path, &raw);
  const bool log_damaged = status.IsCorruption();
  if (log_damaged) {
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    status = rocksdb::DB::Open(options, path, &raw);
  }
  // Missing files are damage too; a held lock or a full disk is not.
  if (status.IsInvalidArgument() ||
      (status.IsIOError() && status.ToString().find("No such file") != std::string::npos))
    return make_error(Errc::kCorrupt, status.ToString());
  if (!status.ok()) return error_of(status);
  return std::unique_ptr<Kv>{
      std::make_unique<RocksKv>(std::move(env), std::unique_ptr<rocksdb::DB>{raw},
                                options.sst_file_manager, budget, log_damaged)};
}

}  // namespace

Result<std::unique_ptr<Kv>> Kv::open_disk(const std::filesystem::path& directory,
                                          std::uint64_t budget) {
  auto options = small_options(24u << 20, Sizes{budget});
  // It only counts: a limit that RocksDB enforces would end all writing, and so all compaction.
  options.sst_file_manager.reset(rocksdb::NewSstFileManager(rocksdb::Env::Default()));
  return open(std::move(options), nullptr, directory.string(), budget);
}

Result<std::unique_ptr<Kv>> Kv::open_memory() {
  std::shared_ptr<rocksdb::Env> env{rocksdb::NewMemEnv(rocksdb::Env::Default())};
  return open(small_options(1u << 20, Sizes{64u << 20}), std::move(env), "/memory", 64u << 20);
}

}  // namespace holdfast::cache
