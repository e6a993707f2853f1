#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast {

/// An IP address and a TCP port. IPv4 is held v4-mapped (RFC 4291 §2.5.5.2), so that one type and
/// one comparison serve both families, as `connect6` sees them.
struct Endpoint {
  std::array<std::uint8_t, 16> address{};  ///< network order
  std::uint16_t port = 0;                  ///< host order

  /// From "1.2.3.4:443" or "[fd77::1]:443". Fails with kInvalidArgument.
  static Result<Endpoint> parse(std::string_view text);
  /// From a numeric address without a port.
  static Result<Endpoint> from_address(std::string_view address, std::uint16_t port);
  static Endpoint v4(std::uint32_t host_order, std::uint16_t port);

  [[nodiscard]] bool is_v4() const;
  [[nodiscard]] bool is_loopback() const;
  /// The address alone: "1.2.3.4" or "fd77::1".
  [[nodiscard]] std::string address_string() const;
  /// "1.2.3.4:443" or "[fd77::1]:443".
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const Endpoint&) const = default;
};

}  // namespace holdfast
