#include "agent/store_opener.h"

#include <filesystem>
#include <utility>

#include "holdfast/telemetry/log.h"

namespace holdfast::agent {
namespace {

/// With less the next write may fail again.
constexpr std::uintmax_t kRoom = 4u << 20;  // bytes

/// What is free where `directory` is, or is to be made; 0 when nobody can say.
std::uintmax_t room_at(std::filesystem::path directory) {
  std::error_code failed;
  while (!std::filesystem::exists(directory, failed) && directory.has_relative_path()) {
    directory = directory.parent_path();
  }
  const auto space = std::filesystem::space(directory, failed);
  return failed ? 0 : space.available;
}

bool can_not_work(const Error& error) {
  return error.code == make_error_code(Errc::kInvalidArgument) ||
         error.code == make_error_code(Errc::kUnsupported);
}

}  // namespace

Result<std::unique_ptr<cache::Store>> StoreOpener::open(cache::StoreOptions options,
                                                        const Clock& clock) {
  auto store = cache::Store::open(options, clock);
  if (store || can_not_work(store.error())) return store;
  problem_ = store.error().to_string();
  telemetry::log(spdlog::level::err,
                 "the cache is in memory only until its disk and its key can be used",
                 {{"error", problem_}});
  options_ = options;
  store = cache::Store::open_in_memory(std::move(options), clock);
  if (store) thread_ = std::thread{[this, &clock] { retry(clock); }};
  return store;
}

StoreOpener::~StoreOpener() {
  {
    const std::scoped_lock lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void StoreOpener::retry(const Clock& clock) {
  std::unique_lock lock{mutex_};
  while (!stopping_ && !usable_again_) {
    wake_.wait_for(lock, kEvery, [this] { return stopping_; });
    if (stopping_) return;
    lock.unlock();
    if (room_at(options_.directory) >= kRoom)
      usable_again_ = cache::Store::open(options_, clock).has_value();
    lock.lock();
  }
}

}  // namespace holdfast::agent
