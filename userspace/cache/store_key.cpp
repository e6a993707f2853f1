#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "cache/key_command.h"
#include "cache/sealer.h"
#include "holdfast/base/fd.h"

namespace holdfast::cache {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::chrono::seconds kCommandLimit{10};

std::string derive(std::string_view master, std::string_view purpose) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out;
  unsigned size = 0;
  HMAC(EVP_sha256(), master.data(), static_cast<int>(master.size()),
       reinterpret_cast<const unsigned char*>(purpose.data()), purpose.size(), out.data(), &size);
  return {reinterpret_cast<const char*>(out.data()), kKeyBytes};
}

Result<std::string> read_key(const std::filesystem::path& path, int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return Error::from_errno(path.string());
  if (!S_ISREG(info.st_mode) || (info.st_mode & 077) != 0 || info.st_uid != ::geteuid())
    return make_error(Errc::kRefused,
                      path.string() + " must be a file of this user's own with mode 0600");
  std::string key(kKeyBytes + 1, '\0');
  const auto size = ::read(fd, key.data(), key.size());
  if (size != static_cast<ssize_t>(kKeyBytes))
    return make_error(Errc::kCorrupt, path.string() + " does not hold 32 bytes");
  key.resize(kKeyBytes);
  return key;
}

Result<std::string> random_key() {
  std::string key(kKeyBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), kKeyBytes) != 1)
    return make_error(Errc::kUnavailable, "no random numbers for the cache's key");
  return key;
}

/// Written beside and renamed, so that a crash leaves a whole key or none.
Result<std::string> make_key(const std::filesystem::path& path) {
  auto key = random_key();
  if (!key) return key;
  const std::string beside = path.string() + ".new";
  ::unlink(beside.c_str());
  Fd fd{::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!fd || ::write(fd.get(), key->data(), key->size()) != static_cast<ssize_t>(key->size()) ||
      ::fsync(fd.get()) != 0 || ::rename(beside.c_str(), path.c_str()) != 0)
    return Error::from_errno(path.string());
  return key;
}

Result<std::string> master_from_file(const std::filesystem::path& directory) {
  const auto path = directory / "cache.key";
  Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (!fd && errno != ENOENT) return Error::from_errno(path.string());
  if (!fd) return make_key(path);
  auto key = read_key(path, fd.get());
  if (key || key.error().code != make_error_code(Errc::kCorrupt)) return key;
  spdlog::warn("cache: {}: making another key, and so a fresh cache", key.error().to_string());
  return make_key(path);
}

StoreKey derive_all(std::string& master, bool sealed) {
  StoreKey out{.sealing = sealed ? derive(master, "holdfast values 1") : std::string{},
               .names = derive(master, "holdfast names 1"),
               .credentials = derive(master, "holdfast credentials 1")};
  OPENSSL_cleanse(master.data(), master.size());
  return out;
}

}  // namespace

Result<StoreKey> load_store_key(const std::filesystem::path& directory, std::string_view source) {
  constexpr std::string_view kCommand = "command:";
  if (source == "tpm")
    return make_error(Errc::kUnsupported,
                      "cache.key: this version does not talk to a TPM by itself; use command: with "
                      "a program that does (systemd-creds decrypt, tpm2_unseal), or file");
  const bool command = source.starts_with(kCommand);
  if (!command && source != "auto" && source != "file" && source != "off")
    return make_error(Errc::kInvalidArgument,
                      "cache.key: expected auto, tpm, file, command:… or off");
  auto master = command
                    ? key_from_command(std::string{source.substr(kCommand.size())}, kCommandLimit)
                    : master_from_file(directory);
  if (!master) return master.error();
  return derive_all(*master, source != "off");
}

Result<StoreKey> make_store_key() {
  auto master = random_key();
  if (!master) return master.error();
  return derive_all(*master, true);
}

}  // namespace holdfast::cache
