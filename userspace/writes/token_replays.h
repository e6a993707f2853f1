#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/cache/query.h"
#include "holdfast/identity/credential.h"
#include "writes/token_request.h"

namespace holdfast::writes {

/// What the API server last answered to TokenRequests. In memory, and on disk where the caller says
/// so: whoever reads such a record is that service account. Thread-safe.
class TokenReplays {
 public:
  static constexpr std::size_t kCapacity = 1024;          ///< answers; the oldest go first
  static constexpr std::size_t kBytes = 8 * 1024 * 1024;  ///< of answers in memory

  /// `key` is the node's secret (cache::Store::hmac_key): names on disk say nothing. `disk` and
  /// `clock` outlive this.
  TokenReplays(std::string key, identity::CredentialStore& disk, const Clock& clock);

  /// One request by one kubelet.
  [[nodiscard]] identity::CredentialHash name(const identity::PrincipalId& principal,
                                              std::string_view ns, std::string_view account,
                                              const TokenSpec& spec) const;
  void keep(const identity::CredentialHash& name, TokenAnswer answer, cache::Residence residence);
  /// The answer, unless its token has expired. What is on disk counts only if it still may be
  /// there.
  std::optional<TokenAnswer> find(const identity::CredentialHash& name, cache::Residence residence);
  /// The API server refused this request just now.
  void forget(const identity::CredentialHash& name);
  /// It is another cluster than before, or none of them may be on disk.
  void clear();

 private:
  struct Entry {
    TokenAnswer answer;
    std::uint64_t age = 0;  // larger: kept later
  };
  void put(const identity::CredentialHash& name, TokenAnswer answer);
  void drop(const identity::CredentialHash& name);
  void put_on_disk(const identity::CredentialHash& name, const TokenAnswer& answer);
  void drop_from_disk(const identity::CredentialHash& name);
  [[nodiscard]] std::int64_t now() const;

  const std::string key_;
  identity::CredentialStore& disk_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<identity::CredentialHash, Entry> entries_;
  std::vector<identity::CredentialHash> on_disk_;  // oldest first; a copy is in the store
  std::size_t bytes_ = 0;
  std::uint64_t kept_ = 0;
};

}  // namespace holdfast::writes
