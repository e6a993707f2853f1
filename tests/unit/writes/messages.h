#pragma once

#include <cstdint>
#include <protozero/pbf_writer.hpp>
#include <string>

#include "holdfast/kube/object.h"

namespace holdfast::writes {

/// base64url without padding, as JWTs have it.
inline std::string base64url(std::string_view text) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  unsigned bits = 0, value = 0;
  for (const char c : text) {
    value = value << 8 | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 6; bits -= 6) out += kLetters[value >> (bits - 6) & 63];
    value &= (1u << bits) - 1;
  }
  if (bits > 0) out += kLetters[value << (6 - bits) & 63];
  return out;
}

/// A token that says when it expires; nobody here checks its signature.
inline std::string token(std::int64_t expires) {
  return base64url(R"({"alg":"RS256"})") + "." +
         base64url(R"({"exp":)" + std::to_string(expires) + "}") + "." + base64url("signature");
}

inline std::string message(std::uint32_t number, std::string_view content) {
  std::string out;
  protozero::pbf_writer{out}.add_bytes(number, content.data(), content.size());
  return out;
}
inline std::string number(std::uint32_t field, std::int64_t value) {
  std::string out;
  protozero::pbf_writer{out}.add_int64(field, value);
  return out;
}
inline Slice envelope(const std::string& api_version, const std::string& kind,
                      const std::string& body) {
  return Slice::own(kube::render_object(kube::Encoding::kProtobuf, {api_version, kind}, body));
}

}  // namespace holdfast::writes
