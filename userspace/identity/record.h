#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/identity/credential.h"

namespace holdfast::identity {

/// What is kept of an accepted credential, in memory and in the store. Times are Unix seconds.
struct CredentialRecord {
  Credential::Kind kind = Credential::Kind::kBearer;
  bool jwt = false;
  bool refused = false;  ///< a JWT with a good signature that the API server does not take any more
  Principal principal;
  std::int64_t learned = 0;
  std::int64_t accepted = 0;
  std::int64_t expires = 0;   ///< a JWT's exp or a certificate's notAfter; 0: none
  std::string pod_uid, node;  ///< what a JWT is bound to
  /// Only of service account tokens: what later tokens are compared with.
  std::string issuer;
  std::vector<std::string> audiences;

  [[nodiscard]] bool opaque() const { return kind == Credential::Kind::kBearer && !jwt; }
};

/// From a credential that the API server accepted at `now` as `principal`.
CredentialRecord make_record(const Credential& credential, Principal principal, std::int64_t now);

std::string serialize(const CredentialRecord& record);
/// Empty when it is not a record of ours.
std::optional<CredentialRecord> parse_record(std::string_view text);

}  // namespace holdfast::identity
