#pragma once

#include <functional>
#include <utility>

#include "cache/keys.h"
#include "cache/kv.h"
#include "cache/sealer.h"
#include "holdfast/identity/credential.h"

namespace holdfast::cache {

/// Accepted credentials and named values, as rows beside the cache's own. Thread-safe.
class CredentialRows final : public identity::CredentialStore {
 public:
  /// `sync` brings to disk what was written, without waiting for it.
  CredentialRows(Kv& kv, const Keys& keys, const Sealer& sealer, std::function<void()> sync)
      : kv_{kv}, keys_{keys}, sealer_{sealer}, sync_{std::move(sync)} {}

  Result<void> put(const identity::CredentialHash& key, std::string_view record) override;
  std::optional<std::string> get(const identity::CredentialHash& key) override;
  Result<void> erase(const identity::CredentialHash& key) override;
  void sync() override { sync_(); }
  Result<void> put_named(std::string_view name, std::string_view value) override;
  std::optional<std::string> get_named(std::string_view name) override;

 private:
  Result<void> write(const std::string& row, std::string_view value);
  std::optional<std::string> read(const std::string& row);
  Kv& kv_;
  const Keys& keys_;
  const Sealer& sealer_;
  std::function<void()> sync_;
};

}  // namespace holdfast::cache
