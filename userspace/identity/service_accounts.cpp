#include "identity/service_accounts.h"

#include <algorithm>
#include <mutex>

namespace holdfast::identity {

void ServiceAccounts::add(const CredentialRecord& record) {
  if (record.issuer.empty()) return;
  std::scoped_lock lock{mutex_};
  auto& account = accounts_[{record.principal.username, record.principal.uid}];
  if (record.learned >= account.learned) {
    account.principal = record.principal;
    account.learned = record.learned;
  }
  ++account.credentials;

  if (!issuers_.contains(record.issuer) && issuers_.size() >= kMaxIssuers) return;
  auto& sets = issuers_[record.issuer];
  if (sets.size() < kMaxAudienceSets) {
    sets.emplace(record.audiences.begin(), record.audiences.end());
  }
}

void ServiceAccounts::remove(const CredentialRecord& record) {
  if (record.issuer.empty()) return;
  std::scoped_lock lock{mutex_};
  const auto it = accounts_.find({record.principal.username, record.principal.uid});
  if (it != accounts_.end() && --it->second.credentials == 0) accounts_.erase(it);
}

void ServiceAccounts::clear() {
  std::scoped_lock lock{mutex_};
  accounts_.clear();
  issuers_.clear();
}

std::optional<Principal> ServiceAccounts::find(const std::string& username,
                                               const std::string& uid) const {
  std::shared_lock lock{mutex_};
  const auto it = accounts_.find({username, uid});
  if (it == accounts_.end()) return std::nullopt;
  return it->second.principal;
}

bool ServiceAccounts::knows_any_issuer() const {
  std::shared_lock lock{mutex_};
  return !issuers_.empty();
}

bool ServiceAccounts::knows_issuer(const std::string& issuer) const {
  std::shared_lock lock{mutex_};
  return issuers_.contains(issuer);
}

bool ServiceAccounts::accepts(const std::string& issuer,
                              const std::vector<std::string>& audiences) const {
  const std::set<std::string> offered{audiences.begin(), audiences.end()};
  std::shared_lock lock{mutex_};
  const auto it = issuers_.find(issuer);
  if (it == issuers_.end()) return false;
  return std::any_of(it->second.begin(), it->second.end(), [&](const auto& accepted) {
    // Tokens without audience (from Secrets) prove nothing about tokens that have one.
    if (accepted.empty()) return offered.empty();
    return std::includes(offered.begin(), offered.end(), accepted.begin(), accepted.end());
  });
}

}  // namespace holdfast::identity
