#include <array>
#include <cmath>

#include "holdfast/identity/credential.h"
#include "identity/json.h"
#include "identity/jwt.h"

namespace holdfast::identity {
namespace {

constexpr std::array<signed char, 256> make_alphabet() {
  std::array<signed char, 256> table{};
  table.fill(-1);
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<signed char>(i);
  }
  return table;
}
constexpr auto kAlphabet = make_alphabet();

// NumericDate may have a fraction (RFC 7519 §2). What does not fit is no date.
std::optional<std::int64_t> date_at(const nlohmann::json& payload, const char* key) {
  const auto* value = member(payload, key);
  if (!value || value->is_null()) return 0;
  if (!value->is_number()) return std::nullopt;
  const double seconds = value->get<double>();
  if (!std::isfinite(seconds) || seconds < 1 || seconds > 1e12) return std::nullopt;
  return static_cast<std::int64_t>(seconds);
}

std::vector<std::string> audiences_of(const nlohmann::json& payload) {
  if (auto one = string_at(payload, "aud"); !one.empty()) return {std::move(one)};
  return strings_at(payload, "aud");
}

std::string name_in(const nlohmann::json& object, const char* key, const char* field) {
  const auto* value = member(object, key);
  return value ? string_at(*value, field) : std::string{};
}

void read_private_claims(const nlohmann::json& payload, TokenClaims& claims) {
  if (const auto* bound = member(payload, "kubernetes.io")) {
    claims.ns = string_at(*bound, "namespace");
    claims.service_account = name_in(*bound, "serviceaccount", "name");
    claims.service_account_uid = name_in(*bound, "serviceaccount", "uid");
    claims.pod = name_in(*bound, "pod", "name");
    claims.pod_uid = name_in(*bound, "pod", "uid");
    claims.node = name_in(*bound, "node", "name");
    return;
  }
  // Tokens from Secrets (pkg/serviceaccount/legacy.go): no audience, no expiry.
  claims.ns = string_at(payload, "kubernetes.io/serviceaccount/namespace");
  claims.service_account = string_at(payload, "kubernetes.io/serviceaccount/service-account.name");
  claims.service_account_uid =
      string_at(payload, "kubernetes.io/serviceaccount/service-account.uid");
}

}  // namespace

std::optional<std::string> base64url_decode(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() * 3 / 4);
  unsigned bits = 0;
  unsigned value = 0;
  for (const char c : text) {
    const int digit = kAlphabet[static_cast<unsigned char>(c)];
    if (digit < 0) return std::nullopt;
    value = (value << 6 | static_cast<unsigned>(digit)) & 0xffffu;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<char>(value >> bits & 0xffu));
    }
  }
  if (value & ((1u << bits) - 1)) return std::nullopt;
  return out;
}

std::optional<JwtParts> split_jwt(std::string_view token) {
  if (token.size() > kMaxTokenBytes) return std::nullopt;
  const auto first = token.find('.');
  if (first == std::string_view::npos) return std::nullopt;
  const auto second = token.find('.', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  if (token.find('.', second + 1) != std::string_view::npos) return std::nullopt;
  return JwtParts{.header = token.substr(0, first),
                  .payload = token.substr(first + 1, second - first - 1),
                  .signature = token.substr(second + 1),
                  .signed_text = token.substr(0, second)};
}

Result<TokenClaims> read_claims(std::string_view token) {
  const auto parts = split_jwt(token);
  if (!parts) return make_error(Errc::kInvalidArgument, "not a JWT");
  const auto header_text = base64url_decode(parts->header);
  const auto payload_text = base64url_decode(parts->payload);
  if (!header_text || !payload_text || !base64url_decode(parts->signature)) {
    return make_error(Errc::kInvalidArgument, "not a JWT: bad base64url");
  }
  const auto header = parse_object(*header_text);
  const auto payload = parse_object(*payload_text);
  if (!header || !payload) return make_error(Errc::kInvalidArgument, "not a JWT: bad JSON");

  const auto expires = date_at(*payload, "exp");
  const auto not_before = date_at(*payload, "nbf");
  const auto issued = date_at(*payload, "iat");
  if (!expires || !not_before || !issued) {
    return make_error(Errc::kInvalidArgument, "not a JWT: bad date");
  }
  TokenClaims claims;
  claims.issuer = string_at(*payload, "iss");
  claims.subject = string_at(*payload, "sub");
  claims.algorithm = string_at(*header, "alg");
  claims.key_id = string_at(*header, "kid");
  claims.audiences = audiences_of(*payload);
  claims.expires = *expires;
  claims.not_before = *not_before;
  claims.issued = *issued;
  read_private_claims(*payload, claims);
  return claims;
}

}  // namespace holdfast::identity
