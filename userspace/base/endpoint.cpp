#include "holdfast/base/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace holdfast {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

Error bad(std::string_view text) {
  return make_error(Errc::kInvalidArgument,
                    "\"" + std::string{text} + "\" is not ADDRESS:PORT (IPv6 in brackets)");
}

}  // namespace

Endpoint Endpoint::v4(std::uint32_t host_order, std::uint16_t port) {
  Endpoint e{.port = port};
  std::ranges::copy(kMappedPrefix, e.address.begin());
  for (int i = 0; i < 4; ++i) {
    e.address[12 + i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
  }
  return e;
}

Result<Endpoint> Endpoint::from_address(std::string_view address, std::uint16_t port) {
  const std::string text{address};
  in_addr four{};
  if (inet_pton(AF_INET, text.c_str(), &four) == 1) return v4(ntohl(four.s_addr), port);
  Endpoint e{.port = port};
  if (inet_pton(AF_INET6, text.c_str(), e.address.data()) == 1) return e;
  return make_error(Errc::kInvalidArgument, "\"" + text + "\" is not an IP address");
}

Result<Endpoint> Endpoint::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad(text);
  auto host = text.substr(0, colon);
  const auto digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (ec != std::errc{} || end != digits.data() + digits.size() || port == 0) return bad(text);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  // An IPv6 address without brackets would swallow its last group as the port.
  if (bracketed != (host.find(':') != std::string_view::npos)) return bad(text);
  auto e = from_address(host, port);
  if (!e) return bad(text);
  return e;
}

bool Endpoint::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.begin());
}

bool Endpoint::is_loopback() const {
  if (is_v4()) return address[12] == 127;
  static constexpr std::array<std::uint8_t, 16> kOne{0, 0, 0, 0, 0, 0, 0, 0,
                                                     0, 0, 0, 0, 0, 0, 0, 1};
  return address == kOne;
}

std::string Endpoint::address_string() const {
  char buffer[INET6_ADDRSTRLEN] = {};
  if (is_v4()) {
    inet_ntop(AF_INET, address.data() + 12, buffer, sizeof buffer);
  } else {
    inet_ntop(AF_INET6, address.data(), buffer, sizeof buffer);
  }
  return buffer;
}

std::string Endpoint::to_string() const {
  const auto host = address_string();
  return (is_v4() ? host : "[" + host + "]") + ":" + std::to_string(port);
}

}  // namespace holdfast
