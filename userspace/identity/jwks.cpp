#include "identity/jwks.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <array>
#include <vector>

#include "holdfast/base/openssl.h"
#include "identity/json.h"
#include "identity/jwt.h"

namespace holdfast::identity {
namespace {

constexpr std::size_t kMaxJwksBytes = 1u << 20;
constexpr std::size_t kMaxKeys = 64;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;  // beyond, a verification costs milliseconds

using Bignum = std::unique_ptr<BIGNUM, OpensslDeleter<BN_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, OpensslDeleter<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, OpensslDeleter<OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, OpensslDeleter<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, OpensslDeleter<EVP_MD_CTX_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, OpensslDeleter<ECDSA_SIG_free>>;

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Bignum number(std::string_view big_endian) {
  return Bignum{BN_bin2bn(bytes(big_endian), static_cast<int>(big_endian.size()), nullptr)};
}

EVP_PKEY* from_params(const char* type, OSSL_PARAM_BLD* builder) {
  const Params params{OSSL_PARAM_BLD_to_param(builder)};
  const KeyContext context{EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr)};
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  return key;
}

// JWS writes r and s side by side (RFC 7518 §3.4), OpenSSL wants DER.
std::vector<unsigned char> ecdsa_der(std::string_view raw, std::size_t half) {
  if (raw.size() != 2 * half) return {};
  const EcdsaSignature signature{ECDSA_SIG_new()};
  auto r = number(raw.substr(0, half));
  auto s = number(raw.substr(half));
  if (!signature || !r || !s || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return {};
  (void)r.release();
  (void)s.release();
  unsigned char* out = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &out);
  if (size <= 0) return {};
  std::vector<unsigned char> der(out, out + size);
  OPENSSL_free(out);
  return der;
}

}  // namespace

struct Jwks::Algorithm {
  std::string_view name;
  Kind kind;
  const EVP_MD* (*digest)();
  bool pss;
  std::size_t ecdsa_half;
};

const Jwks::Algorithm* Jwks::find_algorithm(std::string_view name) {
  static constexpr std::array<Algorithm, 6> kAllowed = {{
      {"RS256", Kind::kRsa, EVP_sha256, false, 0},
      {"RS384", Kind::kRsa, EVP_sha384, false, 0},
      {"RS512", Kind::kRsa, EVP_sha512, false, 0},
      {"PS256", Kind::kRsa, EVP_sha256, true, 0},
      {"ES256", Kind::kP256, EVP_sha256, false, 32},
      {"ES384", Kind::kP384, EVP_sha384, false, 48},
  }};
  for (const auto& algorithm : kAllowed) {
    if (algorithm.name == name) return &algorithm;
  }
  return nullptr;
}

Jwks::KeyPtr Jwks::make_rsa(std::string_view modulus, std::string_view exponent) {
  const ParamBuilder builder{OSSL_PARAM_BLD_new()};
  const auto n = number(modulus);
  const auto e = number(exponent);
  if (!builder || !n || !e || exponent.size() > 8 || BN_num_bits(n.get()) < kMinRsaBits ||
      BN_num_bits(n.get()) > kMaxRsaBits ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return nullptr;
  }
  return KeyPtr{from_params("RSA", builder.get())};
}

Jwks::KeyPtr Jwks::make_ec(const char* group, std::size_t size, std::string_view x,
                           std::string_view y) {
  if (x.size() != size || y.size() != size) return nullptr;
  std::string point{'\x04'};  // uncompressed
  point.append(x).append(y);
  const ParamBuilder builder{OSSL_PARAM_BLD_new()};
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1) {
    return nullptr;
  }
  return KeyPtr{from_params("EC", builder.get())};
}

Result<std::shared_ptr<const Jwks>> Jwks::parse(std::string_view json) {
  if (json.size() > kMaxJwksBytes) return make_error(Errc::kInvalidArgument, "JWKS too large");
  const auto set = parse_object(json);
  const auto* keys = set ? member(*set, "keys") : nullptr;
  if (!keys || !keys->is_array()) return make_error(Errc::kInvalidArgument, "not a JWKS");

  auto out = std::make_shared<Jwks>();
  for (const auto& item : *keys) {
    if (out->keys_.size() >= kMaxKeys) break;
    const auto use = string_at(item, "use");
    auto id = string_at(item, "kid");
    if (id.empty() || !(use.empty() || use == "sig")) continue;
    const auto type = string_at(item, "kty");
    Key key{.algorithm = string_at(item, "alg")};
    if (type == "RSA") {
      const auto n = base64url_decode(string_at(item, "n"));
      const auto e = base64url_decode(string_at(item, "e"));
      if (n && e) key.key = make_rsa(*n, *e);
    } else if (type == "EC") {
      const auto x = base64url_decode(string_at(item, "x"));
      const auto y = base64url_decode(string_at(item, "y"));
      const auto curve = string_at(item, "crv");
      if (x && y && curve == "P-256") {
        key.kind = Kind::kP256;
        key.key = make_ec("P-256", 32, *x, *y);
      } else if (x && y && curve == "P-384") {
        key.kind = Kind::kP384;
        key.key = make_ec("P-384", 48, *x, *y);
      }
    }
    if (key.key) out->keys_.insert_or_assign(std::move(id), std::move(key));
  }
  if (out->keys_.empty()) return make_error(Errc::kInvalidArgument, "no usable key in the JWKS");
  return std::shared_ptr<const Jwks>{std::move(out)};
}

SignatureVerdict Jwks::verify(std::string_view token, const std::string& algorithm_name,
                              const std::string& key_id) const {
  const auto* algorithm = find_algorithm(algorithm_name);
  const auto parts = split_jwt(token);
  if (!parts) return SignatureVerdict::kInvalid;
  const auto it = keys_.find(key_id);
  if (!algorithm || it == keys_.end()) return SignatureVerdict::kUnknownKey;
  const Key& key = it->second;
  if (key.kind != algorithm->kind || (!key.algorithm.empty() && key.algorithm != algorithm_name)) {
    return SignatureVerdict::kInvalid;
  }
  const auto raw = base64url_decode(parts->signature);
  if (!raw || raw->empty()) return SignatureVerdict::kInvalid;
  std::vector<unsigned char> signature{raw->begin(), raw->end()};
  if (algorithm->ecdsa_half != 0) signature = ecdsa_der(*raw, algorithm->ecdsa_half);
  if (signature.empty()) return SignatureVerdict::kInvalid;

  const DigestContext context{EVP_MD_CTX_new()};
  EVP_PKEY_CTX* key_context = nullptr;
  bool valid = context && EVP_DigestVerifyInit(context.get(), &key_context, algorithm->digest(),
                                               nullptr, key.key.get()) == 1;
  if (valid && algorithm->pss) {
    // The salt is as long as the digest (RFC 7518 §3.5).
    valid = EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) == 1 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST) == 1;
  }
  valid = valid && EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                                    bytes(parts->signed_text), parts->signed_text.size()) == 1;
  if (!valid) ERR_clear_error();
  return valid ? SignatureVerdict::kValid : SignatureVerdict::kInvalid;
}

}  // namespace holdfast::identity
