#pragma once

#include <atomic>
#include <chrono>
#include <thread>

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
    while (hangs) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    if (sync) ++syncs;
    return under_->write(ops, sync);
  }
  Result<void> erase_range(std::string_view from, std::string_view to) override {
    if (*full_) return make_error(Errc::kUnavailable, "No space left on device");
    return under_->erase_range(from, to);
  }
  bool has_room(std::size_t bytes) override { return under_->has_room(bytes); }
  Result<void> set_budget(std::uint64_t bytes) override { return under_->set_budget(bytes); }
  Result<void> resume() override {
    if (*full_) return make_error(Errc::kUnavailable, "No space left on device");
    return {};
  }

  std::atomic<bool> hangs{false};
  std::atomic<int> syncs{0};  ///< writes that are on disk, not only written

 private:
  std::unique_ptr<Kv> under_;
  std::shared_ptr<std::atomic<bool>> full_;
};

}  // namespace holdfast::cache
