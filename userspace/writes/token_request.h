#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/kube/object.h"

namespace holdfast::writes {

/// What a TokenRequest asks for (authentication.k8s.io/v1 TokenRequestSpec). Two requests are the
/// same if these are equal.
struct TokenSpec {
  std::vector<std::string> audiences;
  std::int64_t expiration_seconds = 0;             ///< 0: unset
  std::string kind, api_version, bound_name, uid;  ///< boundObjectRef
  bool operator==(const TokenSpec&) const = default;
  /// One text per spec.
  [[nodiscard]] std::string canonical() const;
};

/// From a request's body. Empty when it is no TokenRequest, or asks for something that is not in
/// TokenSpec (a field of a later version): such a request is like no other.
std::optional<TokenSpec> read_token_spec(kube::Encoding encoding, const Slice& body);

/// A real answer of the API server, as it was given.
struct TokenAnswer {
  kube::Encoding encoding = kube::Encoding::kJson;
  std::string body;
  std::int64_t expires = 0;  ///< the token's own `exp`, Unix seconds

  /// For disk, and back; empty when it is not one of ours.
  [[nodiscard]] std::string pack() const;
  static std::optional<TokenAnswer> unpack(std::string_view record);
};

/// Empty when the answer holds no token that says itself when it expires (JWT with `exp`).
std::optional<TokenAnswer> read_token_answer(kube::Encoding encoding, Slice body);

/// The answer as it would be given at `now` (Unix seconds): status.expirationTimestamp is as far
/// away as was asked for, but never beyond the token's own `exp`. The API server extends `exp` to a
/// year for tokens of one hour (--service-account-extend-token-expiration), which is why a kubelet
/// that restarts offline can mount what it was given hours ago. Empty when the token has expired.
std::optional<std::string> replay(const TokenAnswer& answer, std::int64_t now);

}  // namespace holdfast::writes
