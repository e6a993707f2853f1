#include "cache/sealer.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <atomic>
#include <memory>

namespace holdfast::cache {
namespace {

std::atomic<std::uint64_t> next_instance{1};

struct CipherDeleter {
  void operator()(EVP_CIPHER_CTX* p) const { EVP_CIPHER_CTX_free(p); }
};

/// The key schedule is computed once per thread; only the nonce changes afterwards.
struct CipherSlot {
  std::uint64_t instance = 0;
  std::unique_ptr<EVP_CIPHER_CTX, CipherDeleter> context;
};

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes(std::string& text, std::size_t offset) {
  return reinterpret_cast<unsigned char*>(text.data()) + offset;
}

EVP_CIPHER_CTX* keyed(CipherSlot& slot, std::uint64_t instance, const std::string& secret,
                      int encrypt) {
  if (slot.instance != instance) {
    slot.context.reset(EVP_CIPHER_CTX_new());
    EVP_CipherInit_ex(slot.context.get(), EVP_aes_256_gcm(), nullptr, bytes(secret), nullptr,
                      encrypt);
    slot.instance = instance;
  }
  return slot.context.get();
}

/// Random nonces, drawn in blocks: a draw of 12 bytes costs as much as sealing a small record.
void draw_nonce(unsigned char* out) {
  thread_local std::array<unsigned char, Sealer::kNonce * 64> pool;
  thread_local std::size_t used = pool.size();
  if (used == pool.size()) {
    RAND_bytes(pool.data(), static_cast<int>(pool.size()));
    used = 0;
  }
  std::copy_n(pool.data() + used, Sealer::kNonce, out);
  used += Sealer::kNonce;
}

}  // namespace

Sealer::Sealer(std::string_view secret) : secret_{secret}, instance_{next_instance++} {}

std::string Sealer::seal(std::string_view key, std::string_view plain) const {
  if (secret_.empty()) return std::string{plain};
  thread_local CipherSlot slot;
  EVP_CIPHER_CTX* context = keyed(slot, instance_, secret_, 1);
  std::string out(kNonce + plain.size() + kTag, '\0');
  draw_nonce(bytes(out, 0));
  int size = 0;
  EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, bytes(out, 0));
  EVP_EncryptUpdate(context, nullptr, &size, bytes(key), static_cast<int>(key.size()));
  EVP_EncryptUpdate(context, bytes(out, kNonce), &size, bytes(plain),
                    static_cast<int>(plain.size()));
  EVP_EncryptFinal_ex(context, bytes(out, kNonce + plain.size()), &size);
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, kTag, bytes(out, kNonce + plain.size()));
  return out;
}

Result<void> Sealer::open(std::string_view key, std::string_view sealed, std::string& plain) const {
  if (secret_.empty()) {
    plain.assign(sealed);
    return {};
  }
  if (sealed.size() < kNonce + kTag) return make_error(Errc::kCorrupt, "record too short");
  thread_local CipherSlot slot;
  EVP_CIPHER_CTX* context = keyed(slot, instance_, secret_, 0);
  const std::size_t length = sealed.size() - kNonce - kTag;
  plain.resize(length);
  std::array<unsigned char, kTag> tag;
  std::copy_n(bytes(sealed) + kNonce + length, kTag, tag.data());
  int size = 0;
  EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, bytes(sealed));
  EVP_DecryptUpdate(context, nullptr, &size, bytes(key), static_cast<int>(key.size()));
  EVP_DecryptUpdate(context, bytes(plain, 0), &size, bytes(sealed) + kNonce,
                    static_cast<int>(length));
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, kTag, tag.data());
  if (EVP_DecryptFinal_ex(context, bytes(plain, length), &size) != 1)
    return make_error(Errc::kCorrupt, "record does not open under the store's key");
  return {};
}

}  // namespace holdfast::cache
