#pragma once

#include <cstdint>
#include <string>

#include "holdfast/identity/credential.h"

namespace holdfast::identity {

/// Hashes credentials under the node's key. A thread remembers its last few, since every request of
/// a connection carries the same one.
class CredentialHasher {
 public:
  explicit CredentialHasher(std::string key);
  [[nodiscard]] CredentialHash operator()(const Credential& credential) const;

 private:
  [[nodiscard]] CredentialHash compute(Credential::Kind kind, const std::string& text) const;

  const std::string key_;
  const std::uint64_t serial_;  ///< tells hashers apart in the threads' memory
};

}  // namespace holdfast::identity
