#pragma once

#include <openssl/evp.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace holdfast::identity {

std::string base64url(std::string_view bytes);

/// A key pair made in this process that signs JWTs, as the API server does.
class Signer {
 public:
  enum class Kind { kRsa, kP256, kP384 };
  Signer(Kind kind, std::string key_id);

  /// A signed token; `algorithm` decides digest and padding.
  std::string sign_with(const nlohmann::json& header, const nlohmann::json& payload) const;
  std::string sign(const std::string& algorithm, const nlohmann::json& payload) const;
  /// This key's public part as a member of a JWKS.
  nlohmann::json jwk() const;
  /// The public key in PEM: what an HMAC-confusion attack uses as the secret.
  std::string public_pem() const;
  const std::string& key_id() const { return key_id_; }

 private:
  std::string signature(const std::string& algorithm, std::string_view text) const;
  std::string number(const char* name, std::size_t size) const;

  Kind kind_;
  std::string key_id_;
  std::shared_ptr<EVP_PKEY> key_;
};

/// A JWKS of these keys.
std::string jwks_of(std::initializer_list<const Signer*> signers);

/// Keys take a while to make: shared by all tests of the binary.
const Signer& rsa_signer();
const Signer& other_rsa_signer();  ///< another key under the same ID
const Signer& p256_signer();
const Signer& p384_signer();

}  // namespace holdfast::identity
