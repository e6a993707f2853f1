#include "signer.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <stdexcept>
#include <vector>

namespace holdfast::identity {
namespace {

void require(bool ok) {
  if (!ok) throw std::runtime_error{"OpenSSL failed in a test's signer"};
}

const EVP_MD* digest_of(const std::string& algorithm) {
  if (algorithm.ends_with("384")) return EVP_sha384();
  if (algorithm.ends_with("512")) return EVP_sha512();
  return EVP_sha256();
}

}  // namespace

std::string base64url(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  unsigned value = 0, bits = 0;
  for (const char c : bytes) {
    value = (value << 8 | static_cast<unsigned char>(c)) & 0xffffffu;
    for (bits += 8; bits >= 6; bits -= 6) out += kAlphabet[value >> (bits - 6) & 63u];
  }
  if (bits > 0) out += kAlphabet[value << (6 - bits) & 63u];
  return out;
}

Signer::Signer(Kind kind, std::string key_id) : kind_{kind}, key_id_{std::move(key_id)} {
  EVP_PKEY* key =
      kind == Kind::kRsa ? EVP_RSA_gen(2048) : EVP_EC_gen(kind == Kind::kP256 ? "P-256" : "P-384");
  require(key != nullptr);
  key_ = {key, EVP_PKEY_free};
}

std::string Signer::signature(const std::string& algorithm, std::string_view text) const {
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  if (algorithm.starts_with("HS")) {
    const auto secret = public_pem();
    std::string mac(32, '\0');
    HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), data, text.size(),
         reinterpret_cast<unsigned char*>(mac.data()), nullptr);
    return mac;
  }
  if (algorithm == "none") return {};
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free};
  EVP_PKEY_CTX* options = nullptr;
  require(EVP_DigestSignInit(context.get(), &options, digest_of(algorithm), nullptr, key_.get()) ==
          1);
  if (algorithm.starts_with("PS")) {
    require(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1);
    require(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1);
  }
  std::size_t size = 0;
  require(EVP_DigestSign(context.get(), nullptr, &size, data, text.size()) == 1);
  std::string out(size, '\0');
  auto* bytes = reinterpret_cast<unsigned char*>(out.data());
  require(EVP_DigestSign(context.get(), bytes, &size, data, text.size()) == 1);
  out.resize(size);
  if (kind_ == Kind::kRsa) return out;

  const unsigned char* der = reinterpret_cast<const unsigned char*>(out.data());
  ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(out.size()));
  require(pair != nullptr);
  const int half = kind_ == Kind::kP256 ? 32 : 48;
  std::string raw(static_cast<std::size_t>(2 * half), '\0');
  auto* at = reinterpret_cast<unsigned char*>(raw.data());
  require(BN_bn2binpad(ECDSA_SIG_get0_r(pair), at, half) == half);
  require(BN_bn2binpad(ECDSA_SIG_get0_s(pair), at + half, half) == half);
  ECDSA_SIG_free(pair);
  return raw;
}

std::string Signer::sign_with(const nlohmann::json& header, const nlohmann::json& payload) const {
  const auto text = base64url(header.dump()) + "." + base64url(payload.dump());
  return text + "." + base64url(signature(header.value("alg", ""), text));
}

std::string Signer::sign(const std::string& algorithm, const nlohmann::json& payload) const {
  return sign_with(nlohmann::json{{"alg", algorithm}, {"kid", key_id_}}, payload);
}

std::string Signer::number(const char* name, std::size_t size) const {
  BIGNUM* value = nullptr;
  require(EVP_PKEY_get_bn_param(key_.get(), name, &value) == 1);
  if (size == 0) size = static_cast<std::size_t>(BN_num_bytes(value));
  std::string out(size, '\0');
  require(BN_bn2binpad(value, reinterpret_cast<unsigned char*>(out.data()),
                       static_cast<int>(size)) >= 0);
  BN_free(value);
  return base64url(out);
}

nlohmann::json Signer::jwk() const {
  if (kind_ == Kind::kRsa) {
    return {{"kty", "RSA"},
            {"use", "sig"},
            {"alg", "RS256"},
            {"kid", key_id_},
            {"n", number(OSSL_PKEY_PARAM_RSA_N, 0)},
            {"e", number(OSSL_PKEY_PARAM_RSA_E, 0)}};
  }
  const bool small = kind_ == Kind::kP256;
  return {{"kty", "EC"},
          {"kid", key_id_},
          {"crv", small ? "P-256" : "P-384"},
          {"x", number(OSSL_PKEY_PARAM_EC_PUB_X, small ? 32 : 48)},
          {"y", number(OSSL_PKEY_PARAM_EC_PUB_Y, small ? 32 : 48)}};
}

std::string Signer::public_pem() const {
  const std::unique_ptr<BIO, decltype(&BIO_free)> out{BIO_new(BIO_s_mem()), BIO_free};
  require(PEM_write_bio_PUBKEY(out.get(), key_.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string jwks_of(std::initializer_list<const Signer*> signers) {
  nlohmann::json set;
  set["keys"] = nlohmann::json::array();
  for (const auto* signer : signers) set["keys"].push_back(signer->jwk());
  return set.dump();
}

const Signer& rsa_signer() {
  static const Signer signer{Signer::Kind::kRsa, "rsa-1"};
  return signer;
}
const Signer& other_rsa_signer() {
  static const Signer signer{Signer::Kind::kRsa, "rsa-1"};
  return signer;
}
const Signer& p256_signer() {
  static const Signer signer{Signer::Kind::kP256, "p256"};
  return signer;
}
const Signer& p384_signer() {
  static const Signer signer{Signer::Kind::kP384, "p384"};
  return signer;
}

}  // namespace holdfast::identity
