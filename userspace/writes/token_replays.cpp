#include "writes/token_replays.h"

#include <openssl/hmac.h>

#include <algorithm>
#include <cstring>

namespace holdfast::writes {
namespace {

constexpr std::string_view kIndex = "token-replays";  // the names of all records, in the store

std::vector<identity::CredentialHash> read_index(identity::CredentialStore& disk) {
  std::vector<identity::CredentialHash> out;
  const auto text = disk.get_named(kIndex);
  if (!text) return out;
  identity::CredentialHash name;
  for (std::size_t at = 0; at + name.bytes.size() <= text->size(); at += name.bytes.size()) {
    std::memcpy(name.bytes.data(), text->data() + at, name.bytes.size());
    out.push_back(name);
  }
  return out;
}

void write_index(identity::CredentialStore& disk,
                 const std::vector<identity::CredentialHash>& names) {
  std::string text;
  for (const auto& name : names) {
    text.append(reinterpret_cast<const char*>(name.bytes.data()), name.bytes.size());
  }
  (void)disk.put_named(kIndex, text);
}

}  // namespace

TokenReplays::TokenReplays(std::string key, identity::CredentialStore& disk, const Clock& clock)
    : key_{std::move(key)}, disk_{disk}, clock_{clock}, on_disk_{read_index(disk)} {}

std::int64_t TokenReplays::now() const {
  return std::chrono::system_clock::to_time_t(clock_.wall());
}

identity::CredentialHash TokenReplays::name(const identity::PrincipalId& principal,
                                            std::string_view ns, std::string_view account,
                                            const TokenSpec& spec) const {
  // Its first byte is none that the hash of a credential begins with (identity/credential_hash).
  std::string message{"token request\n"};
  message.append(reinterpret_cast<const char*>(principal.bytes.data()), principal.bytes.size());
  message.append("\n").append(ns).append("/").append(account).append("\n");
  message += spec.canonical();
  identity::CredentialHash out;
  unsigned size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(message.data()), message.size(), out.bytes.data(),
       &size);
  return out;
}

void TokenReplays::keep(const identity::CredentialHash& name, TokenAnswer answer,
                        cache::Residence residence) {
  const std::lock_guard lock{mutex_};
  if (residence == cache::Residence::kDisk) {
    put_on_disk(name, answer);
  } else {
    drop_from_disk(name);
  }
  put(name, std::move(answer));
}

std::optional<TokenAnswer> TokenReplays::find(const identity::CredentialHash& name,
                                              cache::Residence residence) {
  const std::lock_guard lock{mutex_};
  if (residence != cache::Residence::kDisk) drop_from_disk(name);
  auto it = entries_.find(name);
  if (it == entries_.end() && residence == cache::Residence::kDisk) {
    const auto record = disk_.get(name);
    auto answer = record ? TokenAnswer::unpack(*record) : std::nullopt;
    if (!answer) return std::nullopt;
    put(name, std::move(*answer));
    it = entries_.find(name);
  }
  if (it == entries_.end()) return std::nullopt;
  if (it->second.answer.expires > now()) return it->second.answer;
  drop(name);
  drop_from_disk(name);
  return std::nullopt;
}

void TokenReplays::forget(const identity::CredentialHash& name) {
  const std::lock_guard lock{mutex_};
  drop(name);
  drop_from_disk(name);
}

void TokenReplays::clear() {
  const std::lock_guard lock{mutex_};
  entries_.clear();
  bytes_ = 0;
  if (on_disk_.empty()) return;
  for (const auto& name : on_disk_) (void)disk_.erase(name);
  on_disk_.clear();
  write_index(disk_, on_disk_);
}

void TokenReplays::put(const identity::CredentialHash& name, TokenAnswer answer) {
  drop(name);
  bytes_ += answer.body.size();
  entries_[name] = {std::move(answer), ++kept_};
  while (entries_.size() > 1 && (entries_.size() > kCapacity || bytes_ > kBytes)) {
    const auto oldest =
        std::ranges::min_element(entries_, {}, [](const auto& item) { return item.second.age; });
    drop(identity::CredentialHash{oldest->first});
  }
}

void TokenReplays::drop(const identity::CredentialHash& name) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return;
  bytes_ -= it->second.answer.body.size();
  entries_.erase(it);
}

void TokenReplays::put_on_disk(const identity::CredentialHash& name, const TokenAnswer& answer) {
  // In this order, so that no record is ever without an entry that says that it is there.
  if (std::ranges::find(on_disk_, name) == on_disk_.end()) {
    if (on_disk_.size() >= kCapacity) {
      (void)disk_.erase(on_disk_.front());
      on_disk_.erase(on_disk_.begin());
    }
    on_disk_.push_back(name);
    write_index(disk_, on_disk_);
  }
  // A full disk costs the record alone: the answer is in memory.
  (void)disk_.put(name, answer.pack());
}

void TokenReplays::drop_from_disk(const identity::CredentialHash& name) {
  const auto it = std::ranges::find(on_disk_, name);
  if (it == on_disk_.end()) return;
  (void)disk_.erase(name);
  on_disk_.erase(it);
  write_index(disk_, on_disk_);
}

}  // namespace holdfast::writes
