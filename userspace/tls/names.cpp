#include "tls/names.h"

#include <algorithm>

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

void Names::add(const Names& others) {
  dns.insert(others.dns.begin(), others.dns.end());
  addresses.insert(others.addresses.begin(), others.addresses.end());
}

bool Names::covers(const Names& others) const {
  return std::ranges::includes(dns, others.dns) &&
         std::ranges::includes(addresses, others.addresses);
}

Names names_of(const X509* certificate) {
  const GeneralNamesPtr list{static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
  std::size_t others = 0;
  return names_of(list.get(), others);
}

Names names_of(const GENERAL_NAMES* list, std::size_t& others) {
  Names names;
  for (int i = 0; list != nullptr && i < sk_GENERAL_NAME_num(list); ++i) {
    const auto* name = sk_GENERAL_NAME_value(list, i);
    Endpoint address;
    if (name->type == GEN_DNS) {
      names.dns.insert(lower(bytes_of(name->d.dNSName)));
    } else if (name->type == GEN_IPADD && read_address(bytes_of(name->d.iPAddress), address)) {
      names.addresses.insert(address);
    } else {
      ++others;
    }
  }
  return names;
}

GeneralNamesPtr general_names(const Names& names) {
  GeneralNamesPtr list{GENERAL_NAMES_new()};
  const auto add = [&](int type, ASN1_STRING* text, const void* bytes, std::size_t size) {
    auto* name = GENERAL_NAME_new();
    ASN1_STRING_set(text, bytes, static_cast<int>(size));
    GENERAL_NAME_set0_value(name, type, text);
    sk_GENERAL_NAME_push(list.get(), name);
  };
  for (const auto& dns : names.dns) add(GEN_DNS, ASN1_IA5STRING_new(), dns.data(), dns.size());
  for (const auto& address : names.addresses) {
    const std::size_t skip = address.is_v4() ? 12 : 0;
    add(GEN_IPADD, ASN1_OCTET_STRING_new(), address.address.data() + skip,
        address.address.size() - skip);
  }
  return list;
}

}  // namespace holdfast::tls
