#include "identity/credential_hash.h"

#include <openssl/hmac.h>

#include <array>
#include <atomic>
#include <functional>

namespace holdfast::identity {
namespace {

struct Remembered {
  std::uint64_t serial = 0;  ///< 0: empty
  Credential::Kind kind = Credential::Kind::kAnonymous;
  std::string text;
  CredentialHash hash;
};
constexpr std::size_t kRemembered = 64;  // per thread; tokens are about 1 KiB
constexpr std::size_t kMaxRememberedBytes = 16 * 1024;

std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> serial{0};
  return ++serial;
}

}  // namespace

CredentialHasher::CredentialHasher(std::string key)
    : key_{std::move(key)}, serial_{next_serial()} {}

CredentialHash CredentialHasher::compute(Credential::Kind kind, const std::string& text) const {
  std::string message(1, static_cast<char>(kind));  // a token never equals a fingerprint
  message += text;
  CredentialHash hash;
  unsigned size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(message.data()), message.size(), hash.bytes.data(),
       &size);
  return hash;
}

CredentialHash CredentialHasher::operator()(const Credential& credential) const {
  if (credential.kind == Credential::Kind::kAnonymous) return {};
  const auto& text =
      credential.kind == Credential::Kind::kBearer ? credential.token : credential.certificate;
  if (text.size() > kMaxRememberedBytes) return compute(credential.kind, text);
  thread_local std::array<Remembered, kRemembered> memory;
  auto& slot = memory[std::hash<std::string>{}(text) % kRemembered];
  if (slot.serial != serial_ || slot.kind != credential.kind || slot.text != text) {
    slot.serial = serial_;
    slot.kind = credential.kind;
    slot.text = text;
    slot.hash = compute(credential.kind, text);
  }
  return slot.hash;
}

}  // namespace holdfast::identity
