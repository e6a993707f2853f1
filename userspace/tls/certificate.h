#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"
#include "tls/openssl.h"

namespace holdfast::tls {

using WallTime = std::chrono::system_clock::time_point;
/// Leaf first.
using Chain = std::vector<X509Ptr>;

struct Validity {
  WallTime not_before, not_after;
  [[nodiscard]] bool contains(WallTime t) const { return not_before <= t && t <= not_after; }
};

/// All certificates of a PEM text; kInvalidArgument (naming `origin`) when there is none.
Result<Chain> parse_pem_chain(std::string_view pem, std::string_view origin);
Result<Chain> parse_der_chain(const std::vector<std::string>& der);
/// The first private key of a PEM text. An encrypted one is refused, never asked about.
Result<KeyPtr> parse_pem_key(std::string_view pem, std::string_view origin);
/// kInvalidArgument unless `key` belongs to `leaf`.
Result<void> check_key_pair(const X509* leaf, const EVP_PKEY* key, std::string_view origin);

std::string to_pem(const Chain& chain);
std::string to_pem(const EVP_PKEY* key);

Validity validity_of(const X509* certificate);
/// SHA-256 of the DER form in lower-case hex.
std::string fingerprint(const X509* certificate);
/// RFC 2253, as "CN=system:node:n1,O=system:nodes".
std::string subject(const X509* certificate);
bool is_self_signed(X509* certificate);

/// The roots that a server's chain must lead to.
class TrustStore {
 public:
  /// From a PEM bundle.
  static Result<TrustStore> create(std::string_view pem, std::string_view origin);

  enum class Time : bool { kChecked, kIgnored };
  /// Verifies a server's chain and returns what names its root: subject and public key, so that a
  /// root renewed with its key remains the same one, as it does for clients. kRefused otherwise.
  [[nodiscard]] Result<std::string> root_of(const Chain& chain, WallTime now, Time time) const;
  [[nodiscard]] X509_STORE* native() const { return store_.get(); }

 private:
  explicit TrustStore(StorePtr store) : store_{std::move(store)} {}
  StorePtr store_;
};

}  // namespace holdfast::tls
