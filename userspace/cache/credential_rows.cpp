#include "cache/credential_rows.h"

namespace holdfast::cache {
namespace {

std::string row_of(const identity::CredentialHash& key) {
  return Keys::row(Row::kCredential,
                   {reinterpret_cast<const char*>(key.bytes.data()), key.bytes.size()});
}

}  // namespace

Result<void> CredentialRows::write(const std::string& row, std::string_view value) {
  const auto sealed = sealer_.seal(row, value);
  return kv_.write({{row, sealed}}, false);
}

std::optional<std::string> CredentialRows::read(const std::string& row) {
  std::string sealed, plain;
  const auto found = kv_.get(row, sealed, nullptr);
  // A record that does not open is as good as none: the credential is learned again.
  if (!found || !*found || !sealer_.open(row, sealed, plain)) return std::nullopt;
  return plain;
}

Result<void> CredentialRows::put(const identity::CredentialHash& key, std::string_view record) {
  return write(row_of(key), record);
}

std::optional<std::string> CredentialRows::get(const identity::CredentialHash& key) {
  return read(row_of(key));
}

Result<void> CredentialRows::erase(const identity::CredentialHash& key) {
  const auto row = row_of(key);
  return kv_.write({{row, std::nullopt}}, false);
}

Result<void> CredentialRows::put_named(std::string_view name, std::string_view value) {
  return write(Keys::row(Row::kNamed, keys_.hash(name)), value);
}

std::optional<std::string> CredentialRows::get_named(std::string_view name) {
  return read(Keys::row(Row::kNamed, keys_.hash(name)));
}

}  // namespace holdfast::cache
