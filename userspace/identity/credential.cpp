#include "holdfast/identity/credential.h"

#include <algorithm>

namespace holdfast::identity {
namespace {

char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_bearer(std::string_view scheme) {
  constexpr std::string_view kBearer = "bearer";
  return std::equal(scheme.begin(), scheme.end(), kBearer.begin(), kBearer.end(),
                    [](char a, char b) { return to_lower(a) == b; });
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// The same reading as the API server's (pkg/authentication/request/bearertoken): split at single
// spaces, the second part is the token, whatever follows is ignored.
std::string_view bearer_token(std::string_view authorization) {
  const auto text = trim(authorization);
  const auto space = text.find(' ');
  if (space == std::string_view::npos || !is_bearer(text.substr(0, space))) return {};
  const auto rest = text.substr(space + 1);
  return rest.substr(0, rest.find(' '));
}

}  // namespace

Credential credential_of(std::string_view authorization, std::string_view certificate_fingerprint) {
  Credential credential;
  if (!certificate_fingerprint.empty()) {
    credential.kind = Credential::Kind::kCertificate;
    credential.certificate = certificate_fingerprint;
  } else if (const auto token = bearer_token(authorization); !token.empty()) {
    credential.kind = Credential::Kind::kBearer;
    credential.token = token;
  }
  return credential;
}

}  // namespace holdfast::identity
