#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "holdfast/base/endpoint.h"

namespace holdfast::tls {

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

/// A client as splices are remembered: what it runs, where, and whom it calls. All of it are names
/// that mean the same after the agent or the machine was started anew.
struct ClientKey {
  /// The UID of its pod, else the path of its cgroup ("/system.slice/app.service").
  std::string workload;
  std::string executable;
  Endpoint target;
  auto operator<=>(const ClientKey&) const = default;
};

/// One that is spliced for now, for those who ask why.
struct SplicedClient {
  ClientKey client;
  Reason reason = Reason::kNone;
  std::string certificate;  ///< kUnknownClientCert: fingerprint of what it presented
  std::chrono::system_clock::time_point until;  ///< then its next connection is a re-test
};

}  // namespace holdfast::tls
