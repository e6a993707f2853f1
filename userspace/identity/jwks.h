#pragma once

#include <openssl/evp.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast::identity {

enum class SignatureVerdict : std::uint8_t {
  kValid,
  kInvalid,     ///< by the key it names
  kUnknownKey,  ///< no such key ID in this set, or an algorithm that none of its keys is for
};

/// The API server's public keys (RFC 7517). Immutable.
///
/// The algorithm is chosen from what both the token says and the key can: an RSA key verifies
/// RS256, RS384, RS512 and PS256, a P-256 key ES256, a P-384 key ES384, and nothing else exists
/// here. So there is no "none", no HMAC, and no way to use one kind of key as another.
class Jwks {
 public:
  /// kInvalidArgument when there is no usable key in it. Keys of other kinds are skipped.
  static Result<std::shared_ptr<const Jwks>> parse(std::string_view json);

  [[nodiscard]] SignatureVerdict verify(std::string_view token, const std::string& algorithm,
                                        const std::string& key_id) const;

 private:
  struct FreeKey {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  using KeyPtr = std::unique_ptr<EVP_PKEY, FreeKey>;
  enum class Kind : std::uint8_t { kRsa, kP256, kP384 };
  struct Key {
    Kind kind = Kind::kRsa;
    KeyPtr key;
    std::string algorithm;  ///< the only one it is for; empty: any of its kind
  };
  struct Algorithm;
  static const Algorithm* find_algorithm(std::string_view name);
  static KeyPtr make_rsa(std::string_view modulus, std::string_view exponent);
  static KeyPtr make_ec(const char* group, std::size_t size, std::string_view x,
                        std::string_view y);

  std::map<std::string, Key, std::less<>> keys_;
};

}  // namespace holdfast::identity
