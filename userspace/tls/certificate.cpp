#include "tls/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>
#include <ctime>
#include <memory>

namespace holdfast::tls {
namespace {

/// Without this OpenSSL would ask for a passphrase on the terminal.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*user*/) {
  return -1;
}

WallTime time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

std::string hex(const unsigned char* bytes, std::size_t size) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

}  // namespace

Result<Chain> parse_pem_chain(std::string_view pem, std::string_view origin) {
  const auto bio = memory_bio(pem);
  Chain chain;
  while (X509Ptr next{PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)}) {
    chain.push_back(std::move(next));
  }
  ERR_clear_error();  // "no start line" ends every file
  if (chain.empty()) {
    return make_error(Errc::kInvalidArgument, std::string{origin} + " holds no PEM certificate");
  }
  return chain;
}

Result<Chain> parse_der_chain(const std::vector<std::string>& der) {
  Chain chain;
  for (const auto& bytes : der) {
    const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
    X509Ptr next{d2i_X509(nullptr, &at, static_cast<long>(bytes.size()))};
    if (!next) return openssl_error(Errc::kInvalidArgument, "a server certificate is not DER");
    chain.push_back(std::move(next));
  }
  if (chain.empty()) return make_error(Errc::kInvalidArgument, "the server sent no certificate");
  return chain;
}

Result<KeyPtr> parse_pem_key(std::string_view pem, std::string_view origin) {
  const auto bio = memory_bio(pem);
  KeyPtr key{PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr)};
  if (!key) {
    return openssl_error(Errc::kInvalidArgument,
                         std::string{origin} + " holds no private key that can be read");
  }
  return key;
}

Result<void> check_key_pair(const X509* leaf, const EVP_PKEY* key, std::string_view origin) {
  if (X509_check_private_key(leaf, key) == 1) return {};
  return openssl_error(Errc::kInvalidArgument,
                       "certificate and key in " + std::string{origin} + " do not belong together");
}

std::string to_pem(const Chain& chain) {
  const BioPtr bio{BIO_new(BIO_s_mem())};
  for (const auto& certificate : chain) PEM_write_bio_X509(bio.get(), certificate.get());
  return bio_text(bio.get());
}

std::string to_pem(const EVP_PKEY* key) {
  const BioPtr bio{BIO_new(BIO_s_secmem())};
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return bio_text(bio.get());
}

Validity validity_of(const X509* certificate) {
  return {.not_before = time_of(X509_get0_notBefore(certificate)),
          .not_after = time_of(X509_get0_notAfter(certificate))};
}

std::string fingerprint(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &size);
  return hex(digest.data(), size);
}

std::string subject(const X509* certificate) {
  const BioPtr bio{BIO_new(BIO_s_mem())};
  X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate), 0,
                     XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return bio_text(bio.get());
}

bool is_self_signed(X509* certificate) {
  return X509_self_signed(certificate, 0) == 1;
}

Result<TrustStore> TrustStore::create(std::string_view pem, std::string_view origin) {
  auto roots = parse_pem_chain(pem, origin);
  if (!roots) return std::move(roots).error();
  StorePtr store{X509_STORE_new()};
  for (const auto& root : *roots) X509_STORE_add_cert(store.get(), root.get());
  // As Go's crypto/x509 has it: whatever is in the bundle is an anchor, self-signed or not.
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  ERR_clear_error();
  return TrustStore{std::move(store)};
}

Result<std::string> TrustStore::root_of(const Chain& chain, WallTime now, Time time) const {
  const StoreContextPtr context{X509_STORE_CTX_new()};
  const std::unique_ptr<STACK_OF(X509), OpensslDeleter<[](STACK_OF(X509) * s) { sk_X509_free(s); }>>
      untrusted{sk_X509_new_null()};
  for (std::size_t i = 1; i < chain.size(); ++i) sk_X509_push(untrusted.get(), chain[i].get());
  if (X509_STORE_CTX_init(context.get(), store_.get(), chain.front().get(), untrusted.get()) != 1) {
    return openssl_error(Errc::kRefused, "verifying a server's chain");
  }
  auto* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER);
  // A set time would win over X509_V_FLAG_NO_CHECK_TIME.
  if (time == Time::kChecked) {
    X509_VERIFY_PARAM_set_time(parameters, std::chrono::system_clock::to_time_t(now));
  } else {
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_NO_CHECK_TIME);
  }
  if (X509_verify_cert(context.get()) != 1) {
    const auto code = X509_STORE_CTX_get_error(context.get());
    ERR_clear_error();
    return make_error(Errc::kRefused,
                      "the chain of " + subject(chain.front().get()) +
                          " does not verify: " + X509_verify_cert_error_string(code));
  }
  const auto* verified = X509_STORE_CTX_get0_chain(context.get());
  const auto* root = sk_X509_value(verified, sk_X509_num(verified) - 1);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  X509_pubkey_digest(root, EVP_sha256(), digest.data(), &size);
  return subject(root) + " " + hex(digest.data(), size);
}

}  // namespace holdfast::tls
