#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::identity {

/// Longer ones are no JWTs to us: Go's HTTP server would refuse the header before that.
inline constexpr std::size_t kMaxTokenBytes = 64 * 1024;

/// The three segments of a JWS in compact form, as sent.
struct JwtParts {
  std::string_view header, payload, signature;
  std::string_view signed_text;  ///< header.payload
};
std::optional<JwtParts> split_jwt(std::string_view token);

/// Base64url without padding, strictly: unused bits must be zero, so that each byte sequence has
/// one spelling and no changed character goes unnoticed.
std::optional<std::string> base64url_decode(std::string_view text);

}  // namespace holdfast::identity
