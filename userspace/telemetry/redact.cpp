#include <string>

#include "holdfast/telemetry/log.h"

namespace holdfast::telemetry {
namespace {

constexpr std::string_view kRedacted = "[redacted]";

constexpr bool is_token_byte(char c) {
  // RFC 6750 b64token, and the dots of a JWT.
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~' || c == '+' || c == '/' || c == '=';
}

bool starts_with_nocase(std::string_view text, std::string_view lower) {
  if (text.size() < lower.size()) return false;
  for (std::size_t i = 0; i < lower.size(); ++i) {
    const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] + 32) : text[i];
    if (c != lower[i]) return false;
  }
  return true;
}

std::size_t token_length(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && is_token_byte(text[n])) ++n;
  return n;
}

}  // namespace

std::string redact(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  constexpr std::string_view kBearer = "bearer";
  constexpr std::string_view kPem = "-----BEGIN ";
  constexpr std::string_view kPemEnd = "-----END ";
  while (!text.empty()) {
    const bool at_word = out.empty() || !is_token_byte(out.back());
    if (starts_with_nocase(text, kBearer)) {
      std::size_t gap = kBearer.size();
      while (gap < text.size() && (text[gap] == ' ' || text[gap] == '\t')) ++gap;
      const auto length = gap > kBearer.size() ? token_length(text.substr(gap)) : 0;
      if (length > 0) {
        out += text.substr(0, gap);
        out += kRedacted;
        text.remove_prefix(gap + length);
        continue;
      }
    }
    // A JWT's header is a JSON object: base64 of {" is eyJ. Whatever stands around it.
    if (text.starts_with("eyJ")) {
      const auto length = token_length(text);
      if (length >= 16) {
        out += kRedacted;
        text.remove_prefix(length);
        continue;
      }
    }
    if (at_word && text.starts_with(kPem) && text.substr(0, 64).find("PRIVATE KEY") != text.npos) {
      const auto end = text.find(kPemEnd);
      out += kRedacted;
      if (end == text.npos) return out;
      text.remove_prefix(end + kPemEnd.size());
      const auto dashes = text.find("-----");
      text.remove_prefix(dashes == text.npos ? text.size() : dashes + 5);
      continue;
    }
    out += text.front();
    text.remove_prefix(1);
  }
  return out;
}

}  // namespace holdfast::telemetry
