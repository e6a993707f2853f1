#include "identity/trusted_clock.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace holdfast::identity {
namespace {

constexpr std::string_view kName = "clock";
constexpr std::int64_t kPersistEvery = 60;  // seconds
constexpr std::chrono::seconds kExactTo{1};

std::int64_t read_number(const std::optional<std::string>& text) {
  std::int64_t value = 0;
  if (!text) return 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  return error == std::errc{} && end == text->data() + text->size() && value > 0 ? value : 0;
}

}  // namespace

TrustedClock::TrustedClock(CredentialStore& store, const Clock& clock)
    : store_{store}, clock_{clock}, anchor_steady_{clock.now()} {
  persisted_ = read_number(store.get_named(kName));
  anchor_ = std::max(persisted_, wall());
}

std::int64_t TrustedClock::wall() const {
  return std::chrono::duration_cast<std::chrono::seconds>(clock_.wall().time_since_epoch()).count();
}

std::int64_t TrustedClock::now() {
  const auto steady = clock_.now();
  if (steady.time_since_epoch().count() < refresh_at_.load(std::memory_order_acquire)) {
    return current_.load(std::memory_order_relaxed);
  }
  return refresh(steady);
}

std::int64_t TrustedClock::refresh(std::chrono::steady_clock::time_point steady) {
  std::int64_t time = 0;
  bool persist = false;
  {
    std::scoped_lock lock{mutex_};
    const auto passed = std::chrono::duration_cast<std::chrono::seconds>(steady - anchor_steady_);
    time = std::max(wall(), anchor_ + passed.count());
    if (time > anchor_ + passed.count()) {
      anchor_ = time;
      anchor_steady_ = steady;
    }
    persist = time >= persisted_ + kPersistEvery;
    if (persist) persisted_ = time;
    current_.store(time, std::memory_order_relaxed);
    refresh_at_.store((steady + kExactTo).time_since_epoch().count(), std::memory_order_release);
  }
  // Best effort: a full disk must not change who is who.
  if (persist) (void)store_.put_named(kName, std::to_string(time));
  return time;
}

void TrustedClock::accepted_until(std::int64_t expires) {
  if (expires == 0 || now() < expires) return;
  std::int64_t time = wall();
  {
    std::scoped_lock lock{mutex_};
    if (time >= expires) return;  // a server with another clock; ours was never ahead
    anchor_ = time;
    anchor_steady_ = clock_.now();
    persisted_ = time;
    refresh_at_.store(0, std::memory_order_release);
  }
  (void)store_.put_named(kName, std::to_string(time));
}

}  // namespace holdfast::identity
