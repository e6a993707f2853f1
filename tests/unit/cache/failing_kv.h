#pragma once

#include <atomic>

#include "cache/kv.h"

namespace holdfast::cache {

/// A Kv whose writes fail while `full` is set, as on a full or read-only disk.
class FailingKv final : public Kv {
 public:
  FailingKv(std::unique_ptr<Kv> under, std::shared_ptr<std::atomic<bool>> full)
      : under_{std::move(under)}, full_{std::move(full)} {}

  Snapshot snapshot() override { return under_->snapshot(); }
  Result<bool> get(std::string_view key, std::string& value, const KvSnapshot* at) override {
    return under_->get(key, value, at);
  }
  std::vector<Result<bool>> multi_get(const std::vector<std::string>& keys,
                                      std::vector<std::string>& values,
                                      const KvSnapshot* at) override {
    return under_->multi_get(keys, values, at);
  }
  std::unique_ptr<KvCursor> scan(std::string_view prefix, const KvSnapshot* at) override {
    return under_->scan(prefix, at);
  }
  Result<void> sync() override {
    ++syncs;
    return under_->sync();
  }
  Result<void> write(const std::vector<KvOp>& ops, bool sync) override {
    if (*full_) return make_error(Errc::kUnavailable, "No space left on device");
    if (sync) ++syncs;
    return under_->write(ops, sync);
  }
  Result<void> wipe() override { return under_->wipe(); }
  Result<void> resume() override {
    if (*full_) return make_error(Errc::kUnavailable, "No space left on device");
    return {};
  }

  std::atomic<int> syncs{0};  ///< writes that are on disk, not only written

 private:
  std::unique_ptr<Kv> under_;
  std::shared_ptr<std::atomic<bool>> full_;
};

}  // namespace holdfast::cache
