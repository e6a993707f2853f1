#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast::upstream {

/// A client certificate with its key, as found on this node's disk: what the agent may speak with
/// upstream, and only for a client that presented the same certificate. Immutable; shared by
/// threads.
class ClientIdentity {
 public:
  /// From PEM (the key may be in the same text). kInvalidArgument: malformed, or the key is not the
  /// certificate's.
  static Result<std::shared_ptr<const ClientIdentity>> from_pem(std::string_view certificate,
                                                                std::string_view key);
  /// From files; kubelet-client-current.pem holds both, so they may be the same;
  /// as may be a kubeconfig that has the pair inline.
  static Result<std::shared_ptr<const ClientIdentity>> load(const std::string& certificate_file,
                                                            const std::string& key_file);
  virtual ~ClientIdentity() = default;

  /// SHA-256 of the leaf in DER, hex: the same text as identity::Credential::certificate.
  [[nodiscard]] virtual const std::string& fingerprint() const = 0;
  [[nodiscard]] virtual const std::string& common_name() const = 0;
  [[nodiscard]] virtual std::chrono::system_clock::time_point not_after() const = 0;
  /// Makes `ssl` present this certificate.
  virtual Result<void> apply(SSL* ssl) const = 0;
};

/// Null: no client certificate. Part of the pool's key: a request without a certificate never
/// travels on a connection that has one.
using Identity = std::shared_ptr<const ClientIdentity>;

}  // namespace holdfast::upstream
