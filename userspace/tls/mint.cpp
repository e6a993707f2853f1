#include "tls/mint.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <memory>

namespace holdfast::tls {
namespace {

/// Whoever meets the certificate sees whose it is; no "system:" prefix, so that it could not pass
/// for a component even where its extended key usage were ignored.
constexpr std::string_view kCommonName = "holdfast-apiserver-proxy";

std::time_t seconds(WallTime t) {
  return std::chrono::system_clock::to_time_t(t);
}

bool set_serial(X509* leaf) {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) return false;
  bytes[0] &= 0x7f;  // RFC 5280 §4.1.2.2: positive
  const std::unique_ptr<BIGNUM, OpensslDeleter<BN_free>> number{
      BN_bin2bn(bytes.data(), bytes.size(), nullptr)};
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(leaf)) != nullptr;
}

bool add_extension(X509* leaf, X509V3_CTX* context, int nid, const char* value) {
  const X509ExtensionPtr extension{X509V3_EXT_conf_nid(nullptr, context, nid, value)};
  return extension && X509_add_ext(leaf, extension.get(), -1) == 1;
}

bool add_names(X509* leaf, const Names& names) {
  const auto list = general_names(names);
  return sk_GENERAL_NAME_num(list.get()) == 0 ||
         X509_add1_ext_i2d(leaf, NID_subject_alt_name, list.get(), 0, X509V3_ADD_DEFAULT) == 1;
}

bool fill(X509* leaf, X509* issuer, EVP_PKEY* key, const Names& names, WallTime from, WallTime to) {
  X509_set_version(leaf, X509_VERSION_3);
  ASN1_TIME_set(X509_getm_notBefore(leaf), seconds(from));
  ASN1_TIME_set(X509_getm_notAfter(leaf), seconds(to));
  X509_set_issuer_name(leaf, X509_get_subject_name(issuer));
  X509_NAME_add_entry_by_NID(X509_get_subject_name(leaf), NID_commonName, MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(kCommonName.data()),
                             static_cast<int>(kCommonName.size()), -1, 0);
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, leaf, nullptr, nullptr, 0);
  return set_serial(leaf) && X509_set_pubkey(leaf, key) == 1 &&
         add_extension(leaf, &context, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(leaf, &context, NID_key_usage, "critical,digitalSignature") &&
         add_extension(leaf, &context, NID_ext_key_usage, "serverAuth") &&
         add_extension(leaf, &context, NID_subject_key_identifier, "hash") &&
         add_extension(leaf, &context, NID_authority_key_identifier, "keyid") &&
         add_names(leaf, names);
}

const EVP_MD* digest_for(const EVP_PKEY* key) {
  const int type = EVP_PKEY_get_base_id(key);
  // The Edwards curves hash on their own.
  return type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448 ? nullptr : EVP_sha256();
}

}  // namespace

Result<ServingPair> ServingPair::create(std::string chain_pem, std::string key_pem,
                                        std::string_view origin) {
  auto chain = parse_pem_chain(chain_pem, origin);
  if (!chain) return std::move(chain).error();
  auto key = parse_pem_key(key_pem, origin);
  if (!key) return std::move(key).error();
  const auto* leaf = chain->front().get();
  if (auto pair = check_key_pair(leaf, key->get(), origin); !pair) return std::move(pair).error();
  return ServingPair{.chain_pem = std::move(chain_pem),
                     .key_pem = std::move(key_pem),
                     .validity = validity_of(leaf),
                     .names = names_of(leaf)};
}

Result<CertificateAuthority> CertificateAuthority::create(std::string_view chain_pem,
                                                          std::string_view key_pem,
                                                          std::string_view origin) {
  auto chain = parse_pem_chain(chain_pem, origin);
  if (!chain) return std::move(chain).error();
  auto key = parse_pem_key(key_pem, origin);
  if (!key) return std::move(key).error();
  auto* certificate = chain->front().get();
  if (auto pair = check_key_pair(certificate, key->get(), origin); !pair) {
    return std::move(pair).error();
  }
  if (X509_check_ca(certificate) == 0) {
    return make_error(Errc::kInvalidArgument,
                      "the certificate in " + std::string{origin} + " is not a CA's");
  }
  return CertificateAuthority{std::move(*chain), std::move(*key)};
}

WallTime CertificateAuthority::end_of(WallTime now, std::chrono::seconds lifetime) const {
  return std::min(now + lifetime, validity_of(chain_.front().get()).not_after);
}

bool CertificateAuthority::signed_by_us(X509* leaf) const {
  const bool ours = X509_verify(leaf, key_.get()) == 1;
  ERR_clear_error();
  return ours;
}

Result<ServingPair> CertificateAuthority::mint(const Names& names, WallTime now,
                                               std::chrono::seconds lifetime) const {
  auto* issuer = chain_.front().get();
  const auto ca = validity_of(issuer);
  if (!ca.contains(now)) {
    return make_error(Errc::kUnavailable, "the CA " + subject(issuer) + " is not valid now");
  }
  const KeyPtr key{EVP_EC_gen("P-256")};
  X509Ptr leaf{X509_new()};
  if (!key || !leaf ||
      !fill(leaf.get(), issuer, key.get(), names, std::max(now - kBackdated, ca.not_before),
            end_of(now, lifetime)) ||
      X509_sign(leaf.get(), key_.get(), digest_for(key_.get())) <= 0) {
    return openssl_error(Errc::kUnsupported, "minting a serving certificate");
  }
  Chain served;
  served.push_back(std::move(leaf));
  // Clients bring the root; the certificates between it and the leaf are ours to send.
  for (const auto& certificate : chain_) {
    if (is_self_signed(certificate.get())) break;
    X509_up_ref(certificate.get());
    served.emplace_back(certificate.get());
  }
  return ServingPair::create(to_pem(served), to_pem(key.get()), "a minted pair");
}

}  // namespace holdfast::tls
