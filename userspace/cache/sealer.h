#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast::cache {

/// Encrypts what is stored: AES-256-GCM with a random nonce, bound to its key in the store, so that
/// a value that was copied under another key does not open. Thread-safe; each thread reuses one
/// cipher context.
class Sealer {
 public:
  static constexpr std::size_t kNonce = 12, kTag = 16;  ///< bytes

  /// `secret`: 32 bytes; empty: values are kept in clear (`cache.key: off`).
  explicit Sealer(std::string_view secret);

  [[nodiscard]] std::string seal(std::string_view key, std::string_view plain) const;
  /// kCorrupt when the value was changed or belongs to another key.
  [[nodiscard]] Result<void> open(std::string_view key, std::string_view sealed,
                                  std::string& plain) const;

 private:
  std::string secret_;
  std::uint64_t instance_;
};

/// The secrets that are derived from the store's key.
struct StoreKey {
  std::string sealing;      ///< empty with `off`
  std::string names;        ///< 32 bytes
  std::string credentials;  ///< 32 bytes: Store::hmac_key
};

/// The key by `source`, as cache.key has it. auto, file and off read `cache.key` in `directory`, or
/// make it (32 random bytes, 0600); a file of another length is replaced. command:… see
/// key_command.h. kUnsupported for tpm, kInvalidArgument for anything else, kRefused when the file
/// can be read by others.
Result<StoreKey> load_store_key(const std::filesystem::path& directory, std::string_view source);
/// One that nobody else has, and that is not kept.
Result<StoreKey> make_store_key();

}  // namespace holdfast::cache
