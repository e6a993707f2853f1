#include <atomic>
#include <charconv>
#include <mutex>
#include <shared_mutex>

#include "holdfast/identity/credential.h"
#include "identity/credential_hash.h"
#include "identity/credential_table.h"
#include "identity/jwks.h"
#include "identity/service_accounts.h"
#include "identity/trusted_clock.h"

namespace holdfast::identity {
namespace {

// Seconds.
constexpr std::int64_t kPersistAcceptedEvery = 60;
constexpr std::int64_t kJwksLifetime = 3600;
/// Whom a JWT or certificate names can't change; what can is whether it is still good, and the API
/// server says that with each request.
constexpr std::int64_t kFindAfterAcceptance = 3600;
/// Static tokens and webhooks may give the same token other groups.
constexpr std::int64_t kFindOpaqueAfterReview = 300;
/// Longer than any grace that makes sense; keeps the store from growing with dead tokens.
constexpr std::int64_t kDropExpiredAfter = 30 * 86400;
/// client-side skew that the API server grants as well (go-jose's default leeway)
constexpr std::int64_t kNotBeforeLeeway = 60;
constexpr std::string_view kJwksName = "jwks";

OfflineVerdict rejected(std::string reason) {
  return {.kind = OfflineVerdict::Kind::kRejected, .reason = std::move(reason)};
}
OfflineVerdict unverifiable(std::string reason) {
  return {.kind = OfflineVerdict::Kind::kUnverifiable, .reason = std::move(reason)};
}
OfflineVerdict known(Principal principal, std::string reason) {
  return {.kind = OfflineVerdict::Kind::kKnown,
          .principal = std::move(principal),
          .reason = std::move(reason)};
}

/// What no API server signs with: no signature at all, or a secret that its verifier shares.
bool forgeable(const std::string& algorithm) {
  return algorithm.empty() || algorithm == "none" || algorithm.starts_with("HS");
}

/// The keys with what is known about them; immutable.
struct JwksState {
  std::shared_ptr<const Jwks> keys;
  std::int64_t fetched = 0;
  std::uint64_t generation = 0;  ///< from 1
};

class RegistryImpl final : public Registry {
 public:
  RegistryImpl(IdentityOptions options, std::string hmac_key, CredentialStore& store,
               const Clock& clock)
      : store_{store},
        hasher_{std::move(hmac_key)},
        clock_{store, clock},
        table_{store, options.capacity},
        options_{std::make_shared<const IdentityOptions>(std::move(options))} {
    const auto now = clock_.now();
    const auto alive = [now](const CredentialRecord& record) {
      return record.expires == 0 || record.expires + kDropExpiredAfter > now;
    };
    for (const auto& entry : table_.load(alive)) {
      if (!entry->record.refused) accounts_.add(entry->record);
    }
    load_jwks();
  }

  CredentialHash hash(const Credential& credential) const override { return hasher_(credential); }

  std::optional<Principal> find(const Credential& credential) override {
    if (credential.kind == Credential::Kind::kAnonymous) return std::nullopt;
    const auto entry = table_.find(hasher_(credential));
    if (!entry || entry->verified_by != 0 || entry->record.refused) return std::nullopt;
    const auto now = clock_.now();
    const bool fresh = entry->record.opaque() ? now - entry->record.learned < kFindOpaqueAfterReview
                                              : now - entry->accepted.load() < kFindAfterAcceptance;
    if (!fresh) return std::nullopt;
    return entry->record.principal;
  }

  void learn(const Credential& credential, Principal principal) override {
    if (credential.kind == Credential::Kind::kAnonymous) return;
    principal.impersonation.clear();  // of a request, not of a credential
    auto entry = std::make_shared<CredentialEntry>(
        make_record(credential, std::move(principal), clock_.now()));
    if (entry->record.jwt) clock_.accepted_until(entry->record.expires);
    accounts_.add(entry->record);
    insert(hasher_(credential), std::move(entry));
  }

  void accepted(const Credential& credential) override {
    if (credential.kind == Credential::Kind::kAnonymous) return;
    const auto key = hasher_(credential);
    const auto entry = table_.find(key);
    if (!entry || entry->verified_by != 0 || entry->record.refused) return;
    if (entry->record.jwt) clock_.accepted_until(entry->record.expires);
    const auto now = clock_.now();
    if (entry->accepted.load(std::memory_order_relaxed) < now) entry->accepted.store(now);
    auto persisted = entry->persisted.load(std::memory_order_relaxed);
    if (now >= persisted + kPersistAcceptedEvery &&
        entry->persisted.compare_exchange_strong(persisted, now)) {
      table_.persist(key, *entry);
    }
  }

  void refused(const Credential& credential) override {
    if (credential.kind == Credential::Kind::kAnonymous) return;
    const auto key = hasher_(credential);
    // A token of a deleted pod or account keeps its good signature: that it was refused must be
    // known offline, or the keys would bring it back. Others need no memory of it, and what anybody
    // could make up must not fill the table.
    const auto claims = read_claims(credential.token);
    const auto jwks = jwks_state();
    if (claims && jwks && claims->expires > clock_.now() &&
        jwks->keys->verify(credential.token, claims->algorithm, claims->key_id) ==
            SignatureVerdict::kValid) {
      insert(key, std::make_shared<CredentialEntry>(CredentialRecord{.jwt = true,
                                                                     .refused = true,
                                                                     .learned = clock_.now(),
                                                                     .accepted = clock_.now(),
                                                                     .expires = claims->expires}));
      return store_.sync();
    }
    const auto gone = table_.erase(key);
    if (!gone) return;
    forget(*gone);
    store_.sync();
  }

  OfflineVerdict check_offline(const Credential& credential, const TagHint& tag) override {
    if (credential.kind == Credential::Kind::kAnonymous) {
      return unverifiable("no credential: nothing is shown to anonymous clients offline");
    }
    const auto key = hasher_(credential);
    const auto entry = table_.find(key);
    if (entry && entry->record.refused) return rejected("the API server refused this token");
    if (entry && entry->verified_by == 0) return check_known(credential, *entry, tag);
    if (credential.kind == Credential::Kind::kCertificate) {
      return unverifiable("the API server never accepted this client certificate here");
    }
    const auto claims = read_claims(credential.token);
    if (!claims) return rejected("the API server never accepted this token");
    return check_claims(credential, key, entry ? entry->verified_by : 0, *claims, tag);
  }

  std::vector<Principal> principals() const override {
    std::vector<Principal> out;
    table_.each([&](const CredentialEntry& entry) {
      if (entry.verified_by == 0 && !entry.record.refused) out.push_back(entry.record.principal);
    });
    return out;
  }

  void clear() override {
    for (const auto& gone : table_.clear()) forget(*gone);
    accounts_.clear();
    {
      std::scoped_lock lock{mutex_};
      jwks_.reset();
    }
    (void)store_.put_named(kJwksName, "");
    store_.sync();
  }

  bool wants_jwks() const override {
    const auto jwks = jwks_state();
    return !jwks || clock_.now() - jwks->fetched >= kJwksLifetime;
  }

  Result<void> set_jwks(std::string_view json) override {
    auto keys = Jwks::parse(json);
    if (!keys) return keys.error();
    const auto now = clock_.now();
    replace_jwks(std::move(*keys), now);
    return store_.put_named(kJwksName, std::to_string(now) + '\n' + std::string{json});
  }

  void configure(IdentityOptions options) override {
    auto next = std::make_shared<const IdentityOptions>(std::move(options));
    std::scoped_lock lock{mutex_};
    options_.swap(next);
  }

 private:
  OfflineVerdict check_known(const Credential& credential, const CredentialEntry& entry,
                             const TagHint& tag) {
    const auto options = this->options();
    const auto& record = entry.record;
    const auto now = clock_.now();
    if (record.opaque()) {
      if (now - entry.accepted.load() > options->opaque_token_ttl.count()) {
        return rejected("the API server accepted this token too long ago");
      }
      return known(record.principal, "accepted before");
    }
    auto expires = record.expires;
    if (record.kind == Credential::Kind::kCertificate) {
      if (expires == 0) expires = credential.certificate_not_after;
      if (expires == 0) return unverifiable("the client certificate's validity is not known");
    }
    if (expires != 0 && now >= expires + options->expired_grace.count()) {
      return rejected("the credential has expired");
    }
    if (auto wrong = wrong_place(record.pod_uid, record.node, *options, tag)) return *wrong;
    return known(record.principal, "accepted before");
  }

  OfflineVerdict check_claims(const Credential& credential, const CredentialHash& key,
                              std::uint64_t verified_by, const TokenClaims& claims,
                              const TagHint& tag) {
    if (forgeable(claims.algorithm)) return rejected("the token is not signed with a key pair");
    const auto jwks = jwks_state();
    if (!jwks) return unverifiable("new token, and the API server's keys are not known");
    if (verified_by != jwks->generation) {
      switch (jwks->keys->verify(credential.token, claims.algorithm, claims.key_id)) {
        case SignatureVerdict::kValid:
          break;
        case SignatureVerdict::kInvalid:
          return rejected("the token's signature is wrong");
        case SignatureVerdict::kUnknownKey:
          return unknown_key(*jwks, claims);
      }
    }
    const auto options = this->options();
    if (!accounts_.knows_any_issuer()) return unverifiable("no token was ever accepted here");
    if (!accounts_.knows_issuer(claims.issuer)) return rejected("the token's issuer is wrong");
    if (!accounts_.accepts(claims.issuer, claims.audiences)) {
      return rejected("the token's audience is wrong");
    }
    // Tokens from Secrets live as long as their Secret, which can't be looked up now.
    if (claims.expires == 0) return unverifiable("new token without an expiry");
    const auto now = clock_.now();
    if (now >= claims.expires + options->expired_grace.count()) {
      return rejected("the token has expired");
    }
    if (claims.not_before > now + kNotBeforeLeeway) return rejected("the token is not valid yet");
    if (auto wrong = wrong_place(claims.pod_uid, claims.node, *options, tag)) return *wrong;
    // Before Kubernetes 1.30 a token does not name its node.
    if (!claims.pod_uid.empty() && claims.node.empty() && !tag.tagged && !tag.token_pod_known) {
      return unverifiable("new token of a pod that is not known to be on this node");
    }
    const auto named = principal_of_claims(claims);
    if (!named) return unverifiable("not a service account's token");
    auto principal = accounts_.find(named->username, named->uid);
    if (!principal) return unverifiable("this service account was never seen here");
    if (verified_by != jwks->generation) remember_verified(key, jwks->generation);
    return known(std::move(*principal), "verified by the API server's keys");
  }

  // The JWKS holds every key that the API server verifies service account tokens with. So a token
  // of its issuer that is older than the JWKS and names another key is not its; a newer one may be
  // signed by a key that came later.
  OfflineVerdict unknown_key(const JwksState& jwks, const TokenClaims& claims) const {
    if (accounts_.knows_issuer(claims.issuer) && claims.issued != 0 &&
        claims.issued <= jwks.fetched) {
      return rejected("the token names a key that the API server does not have");
    }
    return unverifiable("new token, signed by a key that is not known");
  }

  // A tag can only take away: a pod's token is good for its own pod. Of what has no tag nobody
  // knows where it runs.
  static std::optional<OfflineVerdict> wrong_place(const std::string& pod_uid,
                                                   const std::string& node,
                                                   const IdentityOptions& options,
                                                   const TagHint& tag) {
    if (pod_uid.empty()) return std::nullopt;
    if (tag.tagged && tag.pod_uid.empty()) {
      return unverifiable("the token belongs to a pod, and this process is in none");
    }
    if (tag.tagged && tag.pod_uid != pod_uid) {
      return rejected("the token belongs to another pod");
    }
    if (!options.node.empty() && !node.empty() && node != options.node) {
      return rejected("the token belongs to a pod of another node");
    }
    return std::nullopt;
  }

  void remember_verified(const CredentialHash& key, std::uint64_t generation) {
    auto entry = std::make_shared<CredentialEntry>(
        CredentialRecord{.jwt = true, .learned = clock_.now(), .accepted = clock_.now()});
    entry->verified_by = generation;
    insert(key, std::move(entry));
  }

  void insert(const CredentialHash& key, EntryPtr entry) {
    for (const auto& gone : table_.insert(key, std::move(entry))) forget(*gone);
  }
  void forget(const CredentialEntry& gone) {
    if (!gone.record.refused) accounts_.remove(gone.record);
  }

  void load_jwks() {
    const auto text = store_.get_named(kJwksName);
    if (!text) return;
    std::int64_t fetched = 0;
    const auto line = text->find('\n');
    if (line == std::string::npos) return;
    const auto [end, error] = std::from_chars(text->data(), text->data() + line, fetched);
    if (error != std::errc{} || end != text->data() + line) return;
    if (auto keys = Jwks::parse(std::string_view{*text}.substr(line + 1))) {
      replace_jwks(std::move(*keys), fetched);
    }
  }

  void replace_jwks(std::shared_ptr<const Jwks> keys, std::int64_t fetched) {
    std::scoped_lock lock{mutex_};
    jwks_ = std::make_shared<const JwksState>(
        JwksState{.keys = std::move(keys), .fetched = fetched, .generation = ++generation_});
  }

  std::shared_ptr<const JwksState> jwks_state() const {
    std::shared_lock lock{mutex_};
    return jwks_;
  }
  std::shared_ptr<const IdentityOptions> options() const {
    std::shared_lock lock{mutex_};
    return options_;
  }

  CredentialStore& store_;
  const CredentialHasher hasher_;
  mutable TrustedClock clock_;
  CredentialTable table_;
  ServiceAccounts accounts_;
  mutable std::shared_mutex mutex_;  ///< of the pointers below; held for a copy of one
  std::shared_ptr<const IdentityOptions> options_;
  std::shared_ptr<const JwksState> jwks_;
  std::uint64_t generation_ = 0;
};

}  // namespace

std::unique_ptr<Registry> Registry::create(IdentityOptions options, std::string hmac_key,
                                           CredentialStore& store, const Clock& clock) {
  return std::make_unique<RegistryImpl>(std::move(options), std::move(hmac_key), store, clock);
}

}  // namespace holdfast::identity
