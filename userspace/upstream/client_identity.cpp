#include <openssl/pem.h>
#include <openssl/sha.h>

#include <array>
#include <ctime>
#include <vector>

#include "holdfast/tls/key_pair.h"
#include "holdfast/upstream/identity.h"
#include "upstream/openssl.h"

namespace holdfast::upstream {
namespace {

// An encrypted key is refused, never asked about on a terminal.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*user*/) {
  return -1;
}

std::vector<X509Ptr> read_chain(std::string_view pem) {
  std::vector<X509Ptr> chain;
  const auto bio = memory_bio(pem);
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)) {
    chain.emplace_back(certificate);
  }
  ERR_clear_error();  // the end of the text is an error to it
  return chain;
}

std::string fingerprint_of(X509* certificate) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  unsigned size = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &size);
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15u];
  }
  return text;
}

std::string common_name_of(X509* certificate) {
  std::array<char, 256> text{};
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                             text.data(), text.size());
  return size < 0 ? std::string{} : std::string{text.data(), static_cast<std::size_t>(size)};
}

std::chrono::system_clock::time_point not_after_of(X509* certificate) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1) return {};
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

class ClientIdentityImpl final : public ClientIdentity {
 public:
  ClientIdentityImpl(std::vector<X509Ptr> chain, KeyPtr key)
      : chain_{std::move(chain)},
        key_{std::move(key)},
        fingerprint_{fingerprint_of(chain_.front().get())},
        common_name_{common_name_of(chain_.front().get())},
        not_after_{not_after_of(chain_.front().get())} {}

  const std::string& fingerprint() const override { return fingerprint_; }
  const std::string& common_name() const override { return common_name_; }
  std::chrono::system_clock::time_point not_after() const override { return not_after_; }

  Result<void> apply(SSL* ssl) const override {
    bool ok = SSL_use_certificate(ssl, chain_.front().get()) == 1 &&
              SSL_use_PrivateKey(ssl, key_.get()) == 1;
    for (std::size_t i = 1; ok && i < chain_.size(); ++i) {
      ok = SSL_add1_chain_cert(ssl, chain_[i].get()) == 1;
    }
    if (!ok) return openssl_error(Errc::kInvalidArgument, "presenting " + common_name_);
    return {};
  }

 private:
  const std::vector<X509Ptr> chain_;
  const KeyPtr key_;
  const std::string fingerprint_, common_name_;
  const std::chrono::system_clock::time_point not_after_;
};

}  // namespace

Result<std::shared_ptr<const ClientIdentity>> ClientIdentity::from_pem(std::string_view certificate,
                                                                       std::string_view key) {
  auto chain = read_chain(certificate);
  if (chain.empty()) return make_error(Errc::kInvalidArgument, "no certificate in the PEM text");
  const auto bio = memory_bio(key);
  KeyPtr pair{PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr)};
  if (!pair) return openssl_error(Errc::kInvalidArgument, "no usable private key in the PEM text");
  if (X509_check_private_key(chain.front().get(), pair.get()) != 1) {
    return openssl_error(Errc::kInvalidArgument, "the key is not the certificate's");
  }
  return std::shared_ptr<const ClientIdentity>{
      std::make_shared<ClientIdentityImpl>(std::move(chain), std::move(pair))};
}

Result<std::shared_ptr<const ClientIdentity>> ClientIdentity::load(
    const std::string& certificate_file, const std::string& key_file) {
  const auto pair = tls::read_key_pair(certificate_file, key_file);
  if (!pair) return pair.error();
  auto identity = from_pem(pair->certificate, pair->key);
  if (!identity) {
    return Error{identity.error().code, certificate_file + ": " + identity.error().message};
  }
  return identity;
}

}  // namespace holdfast::upstream
