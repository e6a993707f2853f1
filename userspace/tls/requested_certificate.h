#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "holdfast/base/result.h"
#include "tls/mint.h"
#include "tls/names.h"
#include "tls/seen_names.h"

namespace holdfast::tls {

/// A request that waits for its certificate: with it, a restart goes on waiting for the same one.
struct PendingRequest {
  std::string name;  ///< of the CertificateSigningRequest
  std::string uid;   ///< another one may come to have that name
  std::string key_pem;
  Names names;
};

/// The certificate that the cluster issues to this node (`tls.source: csr`): which names it needs,
/// the one that is served, and the request that is under way. The meeting place of the terminator,
/// which serves, and of the agent, which asks the API server. Thread-safe.
///
/// One certificate serves all targets: behind one address there are often several API servers whose
/// certificates differ, and who asks sees now this and now that one.
class RequestedCertificate {
 public:
  /// Takes up what an earlier run left in `directory` (mode 0700): the certificate with its key in
  /// serving.pem, the pending request in request.json, both mode 0600. Empty: nothing is kept.
  /// `listener`: addresses that the certificate needs beside the mirrored names.
  RequestedCertificate(std::string directory, Names listener, WallTime now);

  /// A real API server, whose chain was verified, has these names.
  void seen(const Names& names, WallTime now);
  /// The names to ask for; empty while no API server was seen.
  [[nodiscard]] Names wanted(WallTime now);

  /// What is served; it may be outside its validity.
  [[nodiscard]] std::optional<ServingPair> pair() const;
  /// That pair, if some of these names are in it that are not the listener's own. Which client is
  /// given it is decided by the name that it asks for, each time.
  [[nodiscard]] std::optional<ServingPair> pair_for(const Names& names) const;
  /// Serves another pair from now on. An error says that it could not be kept for a restart.
  Result<void> adopt(ServingPair pair);

  [[nodiscard]] std::optional<PendingRequest> pending() const;
  Result<void> set_pending(std::optional<PendingRequest> request);

 private:
  void load(WallTime now);
  [[nodiscard]] std::string path(const char* file) const { return directory_ + "/" + file; }

  const std::string directory_;
  const Names listener_;
  mutable std::mutex mutex_;
  SeenNames seen_;
  std::optional<ServingPair> pair_;
  std::optional<PendingRequest> pending_;
};

/// When to ask for the next one: at two thirds of its life.
WallTime renewal_time(const Validity& validity);

}  // namespace holdfast::tls
