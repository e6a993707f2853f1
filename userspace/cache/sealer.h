#pragma once

#include <cstdint>
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

}  // namespace holdfast::cache
