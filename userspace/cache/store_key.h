#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "cache/tpm.h"
#include "holdfast/base/result.h"
#include "holdfast/cache/store.h"

namespace holdfast::cache {

/// The secrets that are derived from the store's key.
struct StoreKey {
  std::string sealing;      ///< empty with `off`
  std::string names;        ///< 32 bytes
  std::string credentials;  ///< 32 bytes: Store::hmac_key
  KeyPlace place = KeyPlace::kMemory;
};

/// This machine's TPM. kNotFound: it has none.
using TpmOpener = std::function<Result<std::unique_ptr<Tpm>>()>;
Result<std::unique_ptr<Tpm>> open_node_tpm();

/// The key by `source`, as cache.key has it.
/// - file, off: `cache.key` in `directory`, or made there (32 random bytes, 0600); one of another
///   length is replaced.
/// - tpm: `cache.key.tpm`, which only this machine's TPM opens, or made there; one that it did not
///   seal, or that it was cleared since, is replaced. kUnavailable: there is no TPM, or it is
///   silent.
/// - auto: the one of these that is there; else tpm where there is a TPM that seals, else file.
/// - command:… see key_command.h.
/// kInvalidArgument for anything else, kRefused when the file can be read by others.
Result<StoreKey> load_store_key(const std::filesystem::path& directory, std::string_view source,
                                const TpmOpener& tpm = open_node_tpm);
/// One that nobody else has, and that is not kept.
Result<StoreKey> make_store_key();

}  // namespace holdfast::cache
