#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "holdfast/identity/credential.h"

namespace holdfast::identity {

class FakeClock final : public Clock {
 public:
  std::chrono::steady_clock::time_point now() const override { return steady_; }
  std::chrono::system_clock::time_point wall() const override { return wall_; }
  void advance(std::chrono::seconds by) {
    steady_ += by;
    wall_ += by;
  }
  /// The wall clock alone is set, as NTP or a person does.
  void set_wall(std::int64_t unix_seconds) {
    wall_ = std::chrono::system_clock::time_point{std::chrono::seconds{unix_seconds}};
    steady_ += std::chrono::seconds{2};
  }
  std::int64_t unix_now() const {
    return std::chrono::duration_cast<std::chrono::seconds>(wall_.time_since_epoch()).count();
  }

 private:
  std::chrono::steady_clock::time_point steady_{std::chrono::hours{1}};
  std::chrono::system_clock::time_point wall_{std::chrono::seconds{1'800'000'000}};
};

class FakeStore final : public CredentialStore {
 public:
  Result<void> put(const CredentialHash& key, std::string_view record) override {
    std::scoped_lock lock{mutex_};
    ++puts;
    records[key] = record;
    return {};
  }
  std::optional<std::string> get(const CredentialHash& key) override {
    std::scoped_lock lock{mutex_};
    const auto it = records.find(key);
    return it == records.end() ? std::nullopt : std::optional{it->second};
  }
  Result<void> erase(const CredentialHash& key) override {
    std::scoped_lock lock{mutex_};
    records.erase(key);
    return {};
  }
  void sync() override { ++syncs; }
  Result<void> put_named(std::string_view name, std::string_view value) override {
    std::scoped_lock lock{mutex_};
    named[std::string{name}] = value;
    return {};
  }
  std::optional<std::string> get_named(std::string_view name) override {
    std::scoped_lock lock{mutex_};
    const auto it = named.find(std::string{name});
    return it == named.end() ? std::nullopt : std::optional{it->second};
  }

  std::map<CredentialHash, std::string> records;
  std::map<std::string, std::string> named;
  int puts = 0, syncs = 0;

 private:
  std::mutex mutex_;
};

inline Credential bearer(std::string token) {
  return {.kind = Credential::Kind::kBearer, .token = std::move(token)};
}
inline Credential certificate(std::string fingerprint, std::int64_t not_after) {
  return {.kind = Credential::Kind::kCertificate,
          .certificate = std::move(fingerprint),
          .certificate_not_after = not_after};
}

}  // namespace holdfast::identity
