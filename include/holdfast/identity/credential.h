#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/identity/principal.h"

namespace holdfast::identity {

/// What a request authenticates with. The API server tries x509 first
/// (pkg/kubeapiserver/authenticator/config.go), so a certificate wins over a token.
struct Credential {
  enum class Kind : std::uint8_t { kAnonymous, kBearer, kCertificate };
  Kind kind = Kind::kAnonymous;
  std::string token;        ///< kBearer: without "Bearer "
  std::string certificate;  ///< kCertificate: SHA-256 of the leaf in DER, hex
  /// kCertificate: the leaf's notAfter, Unix seconds; 0: not known, then it is not served offline.
  std::int64_t certificate_not_after = 0;
};

/// From an Authorization header and the certificate the client presented (empty: none).
/// Anything but Bearer (Basic…) is kAnonymous to us: forwarded, never answered from the cache.
Credential credential_of(std::string_view authorization, std::string_view certificate_fingerprint);

/// HMAC-SHA256 of a credential under the node's key: what is kept in place of the token.
struct CredentialHash {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const CredentialHash&) const = default;
};

/// The claims of a service account token that we read (unverified until checked).
struct TokenClaims {
  std::string issuer, subject, algorithm, key_id;
  std::vector<std::string> audiences;
  std::int64_t expires = 0, not_before = 0, issued = 0;  ///< Unix seconds; 0: absent
  std::string ns, service_account, service_account_uid, pod, pod_uid, node;
};
/// Splits and decodes a JWT; nothing is verified. kInvalidArgument when it is not a JWT.
Result<TokenClaims> read_claims(std::string_view token);

/// Where accepted credentials survive a restart. Implemented by the cache's store.
class CredentialStore {
 public:
  virtual ~CredentialStore() = default;
  virtual Result<void> put(const CredentialHash& key, std::string_view record) = 0;
  virtual std::optional<std::string> get(const CredentialHash& key) = 0;
  virtual Result<void> erase(const CredentialHash& key) = 0;
  /// Sees that what was changed survives a power cut too; does not wait for it.
  virtual void sync() {}
  /// Named values: the JWKS, the last persisted time.
  virtual Result<void> put_named(std::string_view name, std::string_view value) = 0;
  virtual std::optional<std::string> get_named(std::string_view name) = 0;
};

/// What the connection's tag says, for pod-bound tokens.
struct TagHint {
  bool tagged = false;
  std::string pod_uid;  ///< empty: not in a pod's cgroup
  /// The token's own pod is known to be on this node: of it, another token was accepted here.
  bool token_pod_known = false;
};

/// The verdict on a credential while the API server can't be asked.
struct OfflineVerdict {
  enum class Kind : std::uint8_t {
    kKnown,         ///< `principal` may read what it was shown
    kRejected,      ///< proven wrong or expired: 401
    kUnverifiable,  ///< 503
  };
  Kind kind = Kind::kUnverifiable;
  Principal principal;
  std::string reason;  ///< for people; never holds the token
};

struct IdentityOptions {
  std::chrono::seconds opaque_token_ttl{3600};
  std::chrono::seconds expired_grace{0};  ///< cache.expired_credentials
  /// A pod-bound token that names another node is refused offline; empty: not compared.
  std::string node;
  std::size_t capacity = 8192;  ///< credentials remembered, in memory and in the store
};

/// Learns who credentials are while the link is up, and says who they are while it is not.
/// Thread-safe; lookups of known credentials take no lock that a writer holds for long.
class Registry {
 public:
  static std::unique_ptr<Registry> create(IdentityOptions options, std::string hmac_key,
                                          CredentialStore& store, const Clock& clock);
  virtual ~Registry() = default;

  [[nodiscard]] virtual CredentialHash hash(const Credential& credential) const = 0;
  /// Online: the principal learned for this credential, if it was accepted recently enough that it
  /// need not be asked for again (impersonation is not part of it: see `with_impersonation`).
  [[nodiscard]] virtual std::optional<Principal> find(const Credential& credential) = 0;
  /// The API server answered a SelfSubjectReview made with this credential.
  virtual void learn(const Credential& credential, Principal principal) = 0;
  /// The API server accepted a request with this credential (any answer but 401): refreshes its
  /// last acceptance. Cheap; persisted lazily.
  virtual void accepted(const Credential& credential) = 0;
  /// The API server answered 401.
  virtual void refused(const Credential& credential) = 0;
  /// Offline, rule 1 of the design's "Identity".
  [[nodiscard]] virtual OfflineVerdict check_offline(const Credential& credential,
                                                     const TagHint& tag) = 0;

  /// Everybody who is known, for people.
  [[nodiscard]] virtual std::vector<Principal> principals() const = 0;
  /// It is another cluster than before: nobody is known, and no key.
  virtual void clear() = 0;

  /// True when the cached JWKS is missing or older than an hour.
  [[nodiscard]] virtual bool wants_jwks() const = 0;
  /// The body of GET /openid/v1/jwks; kInvalidArgument keeps the old one.
  virtual Result<void> set_jwks(std::string_view json) = 0;
  /// `expired_credentials` and friends after a reload of the configuration.
  virtual void configure(IdentityOptions options) = 0;
};

/// The principal of a request that carries Impersonate-* headers (canonical text; "" is none).
Principal with_impersonation(Principal principal, std::string impersonation);

/// The body of the SelfSubjectReview request, and the principal its answer names.
std::string self_subject_review_body();
Result<Principal> parse_self_subject_review(std::string_view json);
/// For servers without SelfSubjectReview (before 1.28), once they accepted the token: what the
/// claims of a service account token make of it. kInvalidArgument for other tokens.
Result<Principal> principal_of_claims(const TokenClaims& claims);

}  // namespace holdfast::identity
