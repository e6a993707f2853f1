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
#include "holdfast/tls/spliced_client.h"
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

struct PeekDecision {
  Verdict verdict = Verdict::kSplice;
  Reason reason = Reason::kNone;
};

class RequestedCertificate;

struct TerminatorOptions {
  std::string source = "auto";  ///< tls.source: auto (the first that there is) | files | ca | csr
  std::string cert_file, key_file, ca_cert_file, ca_key_file;
  std::string upstream_ca_file;
  std::chrono::seconds lifetime{30 * 24 * 3600};
  std::string
      state_directory;  ///< minted certificates and mirrored names survive offline restarts here
  std::vector<std::string> listener_addresses;                      ///< added to the mirrored names
  std::vector<std::pair<std::string, std::string>> identity_files;  ///< {cert, key}
  /// The serving pair that a K3s agent has of its own, for targets on loopback; empty: none.
  std::string node_cert_file, node_key_file;
  /// What `csr` serves; null where nobody asks for certificates.
  std::shared_ptr<RequestedCertificate> requested;
  std::string kept_splices;  ///< what `splices_to_keep` gave to the last run
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
  /// The same for a client that presented a certificate whose key is not on this node. Forgotten as
  /// soon as that key is.
  virtual void certificate_unknown(const ClientKey& client, const std::string& fingerprint) = 0;
  /// True when this client's next connection will be spliced for what is remembered of it.
  [[nodiscard]] virtual bool is_spliced(const ClientKey& client) const = 0;
  [[nodiscard]] virtual std::vector<SplicedClient> spliced() const = 0;
  /// What the next run needs to know of these, if that changed since the last call.
  virtual std::optional<std::string> splices_to_keep() = 0;
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
