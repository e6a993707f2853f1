#pragma once

#include <spdlog/common.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/signing_api.h"
#include "holdfast/base/clock.h"
#include "holdfast/tls/terminator.h"
#include "tls/requested_certificate.h"

namespace holdfast::agent {

/// The node's own client certificate among those that are on its disk: O=system:nodes, preferably
/// of the node that the configuration names. Null when there is none that is valid.
std::shared_ptr<const tls::ClientIdentity> node_identity(
    const std::vector<std::shared_ptr<const tls::ClientIdentity>>& identities,
    const std::string& node, std::chrono::system_clock::time_point now);
/// "n1" out of "CN=system:node:n1,O=system:nodes" in either order; empty: another subject.
std::string node_of_subject(const std::string& subject);

/// Gets and renews the certificate of `tls.source: csr`. It asks when there is none, when two
/// thirds of its life are over, and when an API server has names that it lacks. Until the first is
/// issued nothing is redirected; while a next one is awaited the present one is served. On the
/// control thread.
class CertificateRequester {
 public:
  using Duration = std::chrono::milliseconds;
  static constexpr Duration kIdle{std::chrono::seconds{5}};       ///< looks whether to ask
  static constexpr Duration kPollFirst{std::chrono::seconds{1}};  ///< while it is pending
  static constexpr Duration kPollMax{std::chrono::minutes{1}};
  static constexpr Duration kRetryFirst{std::chrono::seconds{5}};    ///< after a failure
  static constexpr Duration kRefusedFirst{std::chrono::minutes{1}};  ///< after a denial
  static constexpr Duration kRetryMax{std::chrono::hours{1}};

  struct Parts {
    std::shared_ptr<tls::RequestedCertificate> certificate;
    std::unique_ptr<SigningApi> api;
    std::string node;  ///< as configured
    std::chrono::seconds lifetime;
    std::function<std::vector<std::shared_ptr<const tls::ClientIdentity>>()> identities;
    std::function<bool()> online;     ///< whether asking makes sense now
    std::function<void()> on_issued;  ///< another pair is in `certificate`
    /// What people are told, as often as it changes: one sentence.
    std::function<void(std::string)> on_state;
  };
  CertificateRequester(Parts parts, const Clock& clock);

  /// Steps until cancelled.
  Task<> run(Executor executor);
  /// Does what is due, and returns how long to wait until the next step.
  Task<Duration> step();

 private:
  Task<Duration> request(tls::Names wanted);
  Task<Duration> look_at_pending();
  Duration issued(const tls::PendingRequest& pending, const std::string& chain_pem);
  Duration refused(std::string what, std::string why);
  Duration failed(const std::string& what, const Error& error);
  /// Why a certificate is to be asked for; empty: the present one will do.
  std::string need(const tls::Names& wanted) const;
  void tell(spdlog::level::level_enum level, std::string sentence);
  void drop_pending();
  upstream::Identity access();

  Parts parts_;
  const Clock& clock_;
  std::string told_;
  std::string node_;  ///< of the identity last used
  Duration poll_ = kPollFirst, retry_ = kRetryFirst, refused_ = kRefusedFirst;
};

}  // namespace holdfast::agent
