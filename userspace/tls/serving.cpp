#include "tls/serving.h"

#include <algorithm>

namespace holdfast::tls {
namespace {

bool speaks_http(const std::vector<std::string>& alpn) {
  return alpn.empty() || std::ranges::any_of(alpn, [](const std::string& name) {
           return name == "h2" || name == "http/1.1";
         });
}

}  // namespace

Reason Serving::usable(WallTime now) const {
  if (problem != Reason::kNone) return problem;
  if (!context || !pair || !pair->validity.contains(now)) return Reason::kNoCertificate;
  return Reason::kNone;
}

Reason Serving::usable_for(const ClientHello& hello, WallTime now) const {
  if (!speaks_http(hello.alpn)) return Reason::kOtherProtocol;
  // Some clients put the address that they dialled into SNI, against RFC 6066 §3.
  const auto named_address = Endpoint::from_address(hello.server_name, 0);
  if (!hello.server_name.empty() && !named_address) {
    if (!server_names.has_dns(hello.server_name)) return Reason::kOtherName;
    if (const auto reason = usable(now); reason != Reason::kNone) return reason;
    return pair->names.has_dns(hello.server_name) ? Reason::kNone : Reason::kNoCertificate;
  }
  const auto address = named_address ? *named_address : target;
  if (named_address && !server_names.has_address(address)) return Reason::kOtherName;
  if (const auto reason = usable(now); reason != Reason::kNone) return reason;
  // A client that verifies an address which the real certificate lacks fails with either.
  return pair->names.has_address(address) || !server_names.has_address(address)
             ? Reason::kNone
             : Reason::kNoCertificate;
}

}  // namespace holdfast::tls
