#include "tls/identities.h"

#include <spdlog/spdlog.h>

#include "tls/certificate.h"

namespace holdfast::tls {
namespace {

Result<std::shared_ptr<const ClientIdentity>> load(PairFiles& files) {
  auto texts = files.read();
  if (!texts) return std::move(texts).error();
  auto chain = parse_pem_chain(texts->certificate, files.certificate_path());
  if (!chain) return std::move(chain).error();
  auto key = parse_pem_key(texts->key, files.key_path());
  if (!key) return std::move(key).error();
  const auto* leaf = chain->front().get();
  if (auto pair = check_key_pair(leaf, key->get(), files.names()); !pair) {
    return std::move(pair).error();
  }
  // Written anew: a file that is both certificate and key would otherwise put the key in both.
  return std::make_shared<const ClientIdentity>(
      ClientIdentity{.fingerprint = fingerprint(leaf),
                     .subject = subject(leaf),
                     .cert_file = files.certificate_path(),
                     .key_file = files.key_path(),
                     .chain_pem = to_pem(*chain),
                     .key_pem = to_pem(key->get()),
                     .not_after = validity_of(leaf).not_after});
}

}  // namespace

Identities::Identities(const std::vector<std::pair<std::string, std::string>>& files) {
  for (const auto& [certificate, key] : files) {
    entries_.push_back(
        {.files = PairFiles{certificate, key}, .complaint = {}, .current = {}, .former = {}});
  }
  reload_locked();
}

void Identities::reload_locked() {
  for (auto& entry : entries_) {
    if (!entry.files.changed()) continue;
    auto loaded = load(entry.files);
    if (!loaded) {
      // Between the two writes of a rotation certificate and key don't match: look again later.
      if (!entry.current) continue;
      entry.files.retry();
      const auto problem = loaded.error().to_string();
      if (entry.complaint.is_new(problem)) {
        spdlog::warn("tls: keeping the identity {}: {}", entry.current->subject, problem);
      }
      continue;
    }
    entry.complaint.settled();
    if (entry.current && entry.current->fingerprint == (*loaded)->fingerprint) continue;
    spdlog::info("tls: client identity {} from {}", (*loaded)->subject,
                 entry.files.certificate_path());
    entry.former = std::exchange(entry.current, std::move(*loaded));
  }
}

std::shared_ptr<const ClientIdentity> Identities::find_locked(
    const std::string& fingerprint) const {
  for (const auto& entry : entries_) {
    for (const auto& identity : {entry.current, entry.former}) {
      if (identity && identity->fingerprint == fingerprint) return identity;
    }
  }
  return nullptr;
}

std::shared_ptr<const ClientIdentity> Identities::find(const std::string& fingerprint) {
  const std::scoped_lock lock{mutex_};
  if (auto known = find_locked(fingerprint)) return known;
  reload_locked();
  return find_locked(fingerprint);
}

bool Identities::has(const std::string& fingerprint) const {
  const std::scoped_lock lock{mutex_};
  return find_locked(fingerprint) != nullptr;
}

void Identities::reload() {
  const std::scoped_lock lock{mutex_};
  reload_locked();
}

std::vector<std::shared_ptr<const ClientIdentity>> Identities::all() const {
  const std::scoped_lock lock{mutex_};
  std::vector<std::shared_ptr<const ClientIdentity>> result;
  for (const auto& entry : entries_) {
    if (entry.current) result.push_back(entry.current);
  }
  return result;
}

}  // namespace holdfast::tls
