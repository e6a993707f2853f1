#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

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
  RocksKv(std::shared_ptr<rocksdb::Env> env, std::unique_ptr<rocksdb::DB> db, bool log)
      : env_{std::move(env)}, db_{std::move(db)}, log_{log} {}

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

  Result<void> wipe() override {
    const std::string last(64, '\xff');
    rocksdb::WriteOptions options;
    options.sync = log_;
    options.disableWAL = !log_;
    const auto status = db_->DeleteRange(options, db_->DefaultColumnFamily(), "", last);
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
  bool log_;  // false: in memory, nothing to replay
};

/// Sized for a small node: RocksDB's defaults peak near 100 MB of memory, these at a quarter.
rocksdb::Options small_options(std::size_t block_cache, std::size_t write_buffer) {
  rocksdb::Options out;
  out.create_if_missing = true;
  out.compression = rocksdb::kNoCompression;  // encrypted values do not shrink
  out.bottommost_compression = rocksdb::kDisableCompressionOption;
  out.write_buffer_size = write_buffer;
  out.max_write_buffer_number = 2;
  out.target_file_size_base = 16u << 20;
  out.max_bytes_for_level_base = 64u << 20;
  out.max_open_files = 64;
  out.max_background_jobs = 2;
  out.max_total_wal_size = 16u << 20;
  out.stats_dump_period_sec = 0;
  out.stats_persist_period_sec = 0;
  out.keep_log_file_num = 1;
  out.max_log_file_size = 1u << 20;
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
                                 const std::string& path, bool log) {
  if (env) options.env = env.get();
  rocksdb::DB* raw = nullptr;
  const auto status = rocksdb::DB::Open(options, path, &raw);
  // Missing files are damage too; a held lock or a full disk is not.
  if (status.IsInvalidArgument() ||
      (status.IsIOError() && status.ToString().find("No such file") != std::string::npos))
    return make_error(Errc::kCorrupt, status.ToString());
  if (!status.ok()) return error_of(status);
  return std::unique_ptr<Kv>{
      std::make_unique<RocksKv>(std::move(env), std::unique_ptr<rocksdb::DB>{raw}, log)};
}

}  // namespace

Result<std::unique_ptr<Kv>> Kv::open_disk(const std::filesystem::path& directory) {
  return open(small_options(24u << 20, 4u << 20), nullptr, directory.string(), true);
}

Result<std::unique_ptr<Kv>> Kv::open_memory() {
  std::shared_ptr<rocksdb::Env> env{rocksdb::NewMemEnv(rocksdb::Env::Default())};
  return open(small_options(1u << 20, 1u << 20), std::move(env), "/memory", false);
}

}  // namespace holdfast::cache
