#pragma once

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/openssl.h"

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
  void add(const Names& others);
  [[nodiscard]] bool empty() const { return dns.empty() && addresses.empty(); }
  /// Whether each of `others` is here, to the letter.
  [[nodiscard]] bool covers(const Names& others) const;
  bool operator==(const Names&) const = default;
};

Names names_of(const X509* certificate);

using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslDeleter<GENERAL_NAMES_free>>;

/// As an extension holds them. Built from bytes, not from a configuration string: a name may hold a
/// comma.
GeneralNamesPtr general_names(const Names& names);
/// The reverse. `others` counts what is neither a DNS name nor an address.
Names names_of(const GENERAL_NAMES* list, std::size_t& others);

}  // namespace holdfast::tls
