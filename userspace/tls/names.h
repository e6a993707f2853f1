#pragma once

#include <openssl/x509.h>

#include <set>
#include <string>
#include <string_view>

#include "holdfast/base/endpoint.h"

namespace holdfast::tls {

/// The subject alternative names that clients of the API server check: DNS names and addresses.
struct Names {
  std::set<std::string> dns;     ///< lower-case, may begin with "*."
  std::set<Endpoint> addresses;  /// port 0

  /// Whether a client that dialled `host` (lower-case) finds it here; a wildcard stands for one
  /// label (RFC 6125 §6.4.3).
  [[nodiscard]] bool has_dns(std::string_view host) const;
  [[nodiscard]] bool has_address(Endpoint address) const;
  void add_address(Endpoint address);
  bool operator==(const Names&) const = default;
};

Names names_of(const X509* certificate);

}  // namespace holdfast::tls
