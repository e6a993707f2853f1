#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/endpoint.h"
#include "holdfast/base/result.h"
#include "holdfast/tls/client_hello.h"
#include "holdfast/tls/visits.h"

namespace holdfast::tls {

/// A client key pair the agent may speak with: one that is on this node's disk.
struct ClientIdentity {
  std::string
      fingerprint;  ///< SHA-256 of the leaf in DER, hex: what a client's certificate is matched by
  std::string subject;  ///< for logs: "CN=system:node:n1,O=system:nodes"
  std::string cert_file, key_file;
  std::string chain_pem, key_pem;
  std::chrono::system_clock::time_point not_after;
};

enum class Verdict : std::uint8_t { kTerminate, kSplice };

/// Why a connection is spliced or not redirected; also a metric's label.
enum class Reason : std::uint8_t {
  kNone,
  kNotTls,
  kMalformedHello,
  kOtherName,          ///< SNI that the real server's certificate does not have
  kNoCertificate,      ///< we have none for this target (yet), or it is outside its validity
  kChainMismatch,      ///< the real server's chain leads to another root than ours
  kHandshakeFailed,    ///< this client did not like our certificate before
  kOtherProtocol,      ///< ALPN offers neither h2 nor http/1.1
  kUnknownClientCert,  ///< the client presented a certificate whose key we do not hold
  kRule,
};
std::string_view to_string(Reason reason);

struct PeekDecision {
  Verdict verdict = Verdict::kSplice;
  Reason reason = Reason::kNone;
};

/// A client as splices are remembered: what it runs, where, and whom it calls.
struct ClientKey {
  std::uint64_t cgroup_id = 0;
  std::string executable;
  Endpoint target;
  auto operator<=>(const ClientKey&) const = default;
};

struct TerminatorOptions {
  std::string source = "auto";  ///< tls.source: auto | files | ca (csr: a later release)
  std::string cert_file, key_file, ca_cert_file, ca_key_file;
  std::string upstream_ca_file;
  std::chrono::seconds lifetime{30 * 24 * 3600};
  std::string
      state_directory;  ///< minted certificates and mirrored names survive offline restarts here
  std::vector<std::string> listener_addresses;                      ///< added to the mirrored names
  std::vector<std::pair<std::string, std::string>> identity_files;  ///< {cert, key}
};

/// Holds the certificates that the agent serves, per target, and decides whether a connection is
/// terminated. Thread-safe: decisions read an immutable snapshot.
class Terminator {
 public:
  static Result<std::unique_ptr<Terminator>> create(TerminatorOptions options, const Clock& clock);
  virtual ~Terminator() = default;

  /// What the real server at `target` presented: its chain (leaf first, DER) as fetched by the
  /// agent. Verifies it with our root, mirrors its names and mints or checks our certificate for
  /// them. Errors say why the target stays direct.
  virtual Result<void> learn_target(const Endpoint& target,
                                    const std::vector<std::string>& chain_der) = 0;
  /// True when a certificate inside its validity can be served for this target (or, with no
  /// argument known, for any): until then nothing is redirected.
  [[nodiscard]] virtual bool ready(const Endpoint& target) const = 0;
  [[nodiscard]] virtual std::vector<Endpoint> ready_targets() const = 0;

  /// From the peeked hello and what is remembered of this client. A missing `target` (an untagged
  /// connection) means the first ready one.
  virtual PeekDecision decide(const PeekResult& peek, const std::optional<Endpoint>& target,
                              const ClientKey& client) = 0;
  /// A server-side SSL for that target: ALPN h2 and http/1.1, asks for a client certificate without
  /// demanding one and takes any (its key's possession is proven by the handshake; what it may do
  /// is the API server's decision). Null when none is ready.
  virtual SSL* new_server_ssl(const std::optional<Endpoint>& target) = 0;
  /// Handshake results: a failure switches the client to splice at once, re-tested after 10 min,
  /// backing off to 24 h; a success forgets it.
  virtual void handshake_failed(const ClientKey& client, Reason reason) = 0;
  virtual void handshake_succeeded(const ClientKey& client) = 0;
  /// Who is connected, on all threads: whether hanging up without a request is such a failure.
  [[nodiscard]] virtual Visits& visits() = 0;

  /// The client certificate that `ssl`'s peer presented, if any: its fingerprint, and the identity
  /// we hold for it (null: unknown).
  struct PeerCertificate {
    std::string fingerprint;
    std::shared_ptr<const ClientIdentity> identity;
  };
  virtual std::optional<PeerCertificate> peer_certificate(SSL* ssl) = 0;

  /// Rereads files that changed (CA, identities, certificates); called every minute and on reload.
  virtual void refresh() = 0;
  [[nodiscard]] virtual std::vector<std::shared_ptr<const ClientIdentity>> identities() const = 0;
};

}  // namespace holdfast::tls
