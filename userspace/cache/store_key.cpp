#include "cache/store_key.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "cache/key_command.h"
#include "holdfast/base/private_file.h"

namespace holdfast::cache {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kMaxSealed = 4096;  // bytes
constexpr std::chrono::seconds kCommandLimit{10}, kTpmLimit{15};
constexpr std::chrono::milliseconds kDeviceLimit{5000}, kDevicePause{100};

std::string derive(std::string_view master, std::string_view purpose) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out;
  unsigned size = 0;
  HMAC(EVP_sha256(), master.data(), static_cast<int>(master.size()),
       reinterpret_cast<const unsigned char*>(purpose.data()), purpose.size(), out.data(), &size);
  return {reinterpret_cast<const char*>(out.data()), kKeyBytes};
}

bool is(const Error& error, Errc code) {
  return error.code == make_error_code(code);
}

Result<std::string> random_key() {
  std::string key(kKeyBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), kKeyBytes) != 1)
    return make_error(Errc::kUnavailable, "no random numbers for the cache's key");
  return key;
}

/// What is there is kept as PATH.old: the verdict may be a mistake.
void set_aside(const std::string& path, const std::string& why) {
  std::error_code ignored;
  std::filesystem::rename(path, path + ".old", ignored);
  spdlog::warn("cache: {}: {}; making another key, and so a fresh cache", path, why);
}

Result<std::string> master_from_file(const std::string& path) {
  auto key = read_private_file(path, kKeyBytes);
  if (key && key->size() == kKeyBytes) return key;
  const bool damaged = key || is(key.error(), Errc::kTooLarge);
  if (!damaged && !is(key.error(), Errc::kNotFound)) return key;
  if (damaged) set_aside(path, "it does not hold 32 bytes");
  auto made = random_key();
  if (!made) return made;
  if (auto kept = write_private_file(path, *made); !kept) return kept.error();
  return made;
}

using TpmWork = std::function<Result<std::string>(Tpm&)>;

/// A chip or its driver may hang: nobody waits for that longer than this. A thread is left behind
/// then, and no second one beside it.
Result<std::string> with_tpm(const TpmOpener& open, TpmWork work) {
  static std::atomic<bool> busy{false};
  if (busy.exchange(true)) return make_error(Errc::kUnavailable, "the TPM still does not answer");
  auto promise = std::make_shared<std::promise<Result<std::string>>>();
  auto answer = promise->get_future();
  std::thread{[promise, open, work = std::move(work)] {
    Result<std::string> out = make_error(Errc::kUnavailable);
    {
      const auto tpm = open();
      out = tpm ? work(**tpm) : Result<std::string>{tpm.error()};
    }
    busy = false;
    promise->set_value(std::move(out));
  }}.detach();
  if (answer.wait_for(kTpmLimit) == std::future_status::ready) return answer.get();
  return make_error(Errc::kUnavailable, "the TPM does not answer");
}

/// At a boot its driver may come a moment after us.
TpmOpener patient(TpmOpener open) {
  return [open = std::move(open)] {
    auto tpm = open();
    for (auto waited = 0ms; !tpm && is(tpm.error(), Errc::kNotFound) && waited < kDeviceLimit;
         waited += kDevicePause) {
      std::this_thread::sleep_for(kDevicePause);
      tpm = open();
    }
    return tpm;
  };
}

Result<std::string> make_sealed(const std::string& path, const TpmOpener& open) {
  auto made = random_key();
  if (!made) return made;
  const auto sealed = with_tpm(open, [secret = *made](Tpm& tpm) { return tpm.seal(secret); });
  if (!sealed) return sealed.error();
  if (auto kept = write_private_file(path, *sealed); !kept) return kept.error();
  return made;
}

Result<std::string> master_from_tpm(const std::string& path, const TpmOpener& open) {
  const auto sealed = read_private_file(path, kMaxSealed);
  if (sealed) {
    auto key = with_tpm(patient(open), [blob = *sealed](Tpm& tpm) { return tpm.unseal(blob); });
    if (key && key->size() == kKeyBytes) return key;
    if (!key && !is(key.error(), Errc::kCorrupt)) {
      return make_error(Errc::kUnavailable,
                        fmt::format("cache.key: {} (to go on without what it sealed, remove {})",
                                    key.error().to_string(), path));
    }
    set_aside(path, key ? "it does not hold 32 bytes" : key.error().message);
  } else if (is(sealed.error(), Errc::kTooLarge)) {
    set_aside(path, "it is no sealed key");
  } else if (!is(sealed.error(), Errc::kNotFound)) {
    return sealed;
  }
  auto made = make_sealed(path, patient(open));
  if (!made) return make_error(Errc::kUnavailable, "cache.key: " + made.error().to_string());
  return made;
}

StoreKey derive_all(std::string& master, KeyPlace place) {
  StoreKey out{.sealing = place == KeyPlace::kOff ? "" : derive(master, "holdfast values 1"),
               .names = derive(master, "holdfast names 1"),
               .credentials = derive(master, "holdfast credentials 1"),
               .place = place};
  OPENSSL_cleanse(master.data(), master.size());
  return out;
}

Result<StoreKey> derive_all(Result<std::string> master, KeyPlace place) {
  if (!master) return master.error();
  return derive_all(*master, place);
}

/// A cache that is there stays what it is. A TPM that is away for once does not change that: with a
/// key of another place all of it would be lost.
Result<StoreKey> choose(const std::string& file, const std::string& sealed, const TpmOpener& open) {
  std::error_code ignored;
  if (std::filesystem::exists(sealed, ignored))
    return derive_all(master_from_tpm(sealed, open), KeyPlace::kTpm);
  if (!std::filesystem::exists(file, ignored)) {
    auto made = make_sealed(sealed, open);
    if (made) return derive_all(std::move(made), KeyPlace::kTpm);
    spdlog::info("cache: the key is a file, not sealed: {}", made.error().to_string());
  }
  return derive_all(master_from_file(file), KeyPlace::kFile);
}

}  // namespace

std::string_view to_string(KeyPlace place) {
  switch (place) {
    case KeyPlace::kOff:
      return "off";
    case KeyPlace::kFile:
      return "file";
    case KeyPlace::kCommand:
      return "command";
    case KeyPlace::kTpm:
      return "tpm";
    case KeyPlace::kMemory:
      break;
  }
  return "memory";
}

Result<std::unique_ptr<Tpm>> open_node_tpm() {
  std::error_code ignored;
  if (!std::filesystem::exists(Tpm::kDevice, ignored)) {
    return make_error(Errc::kNotFound,
                      std::string{"this machine has no TPM 2.0 at "} + Tpm::kDevice);
  }
  return Tpm::open_device(Tpm::kDevice);
}

Result<StoreKey> load_store_key(const std::filesystem::path& directory, std::string_view source,
                                const TpmOpener& tpm) {
  constexpr std::string_view kCommand = "command:";
  const std::string file = directory / "cache.key", sealed = directory / "cache.key.tpm";
  if (source == "auto") return choose(file, sealed, tpm);
  if (source == "tpm") return derive_all(master_from_tpm(sealed, tpm), KeyPlace::kTpm);
  if (source == "file") return derive_all(master_from_file(file), KeyPlace::kFile);
  if (source == "off") return derive_all(master_from_file(file), KeyPlace::kOff);
  if (source.starts_with(kCommand)) {
    return derive_all(key_from_command(std::string{source.substr(kCommand.size())}, kCommandLimit),
                      KeyPlace::kCommand);
  }
  return make_error(Errc::kInvalidArgument,
                    "cache.key: expected auto, tpm, file, command:… or off");
}

Result<StoreKey> make_store_key() {
  return derive_all(random_key(), KeyPlace::kMemory);
}

}  // namespace holdfast::cache
