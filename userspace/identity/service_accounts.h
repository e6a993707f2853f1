#pragma once

#include <map>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "identity/record.h"

namespace holdfast::identity {

/// What accepted service account tokens taught: who exists, and which issuers and audiences the API
/// server takes. Thread-safe; as large as the credentials that it was learned from.
class ServiceAccounts {
 public:
  void add(const CredentialRecord& record);
  /// A principal is known as long as one of its credentials is.
  void remove(const CredentialRecord& record);
  /// Issuers and audiences, too.
  void clear();

  [[nodiscard]] std::optional<Principal> find(const std::string& username,
                                              const std::string& uid) const;
  [[nodiscard]] bool knows_any_issuer() const;
  [[nodiscard]] bool knows_issuer(const std::string& issuer) const;
  /// True if these audiences hold all those of some accepted token of that issuer. Of a token with
  /// several audiences one can't tell which of them the API server took, but each such superset
  /// holds that one.
  [[nodiscard]] bool accepts(const std::string& issuer,
                             const std::vector<std::string>& audiences) const;

 private:
  struct Account {
    Principal principal;
    std::int64_t learned = 0;
    std::size_t credentials = 0;
  };
  static constexpr std::size_t kMaxIssuers = 16;
  static constexpr std::size_t kMaxAudienceSets = 32;  ///< per issuer

  mutable std::shared_mutex mutex_;
  std::map<std::pair<std::string, std::string>, Account> accounts_;  ///< by username and UID
  std::map<std::string, std::set<std::set<std::string>>> issuers_;
};

}  // namespace holdfast::identity
