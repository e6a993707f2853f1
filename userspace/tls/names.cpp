#include "tls/names.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

#include "tls/openssl.h"

namespace holdfast::tls {
namespace {

std::string_view bytes_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

std::string lower(std::string_view text) {
  std::string result{text};
  std::ranges::transform(result, result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return result;
}

/// Port 0; nothing for what is no address.
bool read_address(std::string_view bytes, Endpoint& out) {
  if (bytes.size() == 4) {
    std::uint32_t host = 0;
    for (const char c : bytes) host = host << 8 | static_cast<std::uint8_t>(c);
    out = Endpoint::v4(host, 0);
    return true;
  }
  if (bytes.size() != out.address.size()) return false;
  std::ranges::transform(bytes, out.address.begin(),
                         [](char c) { return static_cast<std::uint8_t>(c); });
  out.port = 0;
  return true;
}

}  // namespace

bool Names::has_dns(std::string_view host) const {
  if (dns.contains(std::string{host})) return true;
  const auto dot = host.find('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  return dns.contains("*" + std::string{host.substr(dot)});
}

bool Names::has_address(Endpoint address) const {
  address.port = 0;
  return addresses.contains(address);
}

void Names::add_address(Endpoint address) {
  address.port = 0;
  addresses.insert(address);
}

Names names_of(const X509* certificate) {
  Names names;
  const std::unique_ptr<GENERAL_NAMES, OpensslDeleter<GENERAL_NAMES_free>> list{
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
  for (int i = 0; list && i < sk_GENERAL_NAME_num(list.get()); ++i) {
    const auto* name = sk_GENERAL_NAME_value(list.get(), i);
    Endpoint address;
    if (name->type == GEN_DNS) {
      names.dns.insert(lower(bytes_of(name->d.dNSName)));
    } else if (name->type == GEN_IPADD && read_address(bytes_of(name->d.iPAddress), address)) {
      names.addresses.insert(address);
    }
  }
  return names;
}

}  // namespace holdfast::tls
