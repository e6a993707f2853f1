#include <algorithm>
#include <array>

#include "holdfast/identity/credential.h"
#include "identity/json.h"

namespace holdfast::identity {
namespace {

// Set by the service account authenticator per token (pkg/serviceaccount/util.go): with them, two
// tokens of one account would be two principals.
constexpr std::array<std::string_view, 5> kPerTokenKeys = {
    "authentication.kubernetes.io/credential-id", "authentication.kubernetes.io/node-name",
    "authentication.kubernetes.io/node-uid", "authentication.kubernetes.io/pod-name",
    "authentication.kubernetes.io/pod-uid"};

std::string canonical_extra(const nlohmann::json* extra) {
  if (!extra || !extra->is_object()) return {};
  nlohmann::json kept = nlohmann::json::object();  // sorted by key
  for (const auto& [key, values] : extra->items()) {
    if (std::find(kPerTokenKeys.begin(), kPerTokenKeys.end(), key) == kPerTokenKeys.end()) {
      kept[key] = values;
    }
  }
  return kept.empty() ? std::string{} : to_text(kept);
}

}  // namespace

std::string self_subject_review_body() {
  return R"({"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"})";
}

Result<Principal> parse_self_subject_review(std::string_view json) {
  const auto review = parse_object(json);
  if (!review || string_at(*review, "kind") != "SelfSubjectReview") {
    return make_error(Errc::kInvalidArgument, "not a SelfSubjectReview");
  }
  const auto* status = member(*review, "status");
  const auto* user = status ? member(*status, "userInfo") : nullptr;
  if (!user) return make_error(Errc::kInvalidArgument, "SelfSubjectReview without status.userInfo");

  Principal principal;
  principal.username = string_at(*user, "username");
  if (principal.username.empty()) {
    return make_error(Errc::kInvalidArgument, "SelfSubjectReview without a username");
  }
  principal.uid = string_at(*user, "uid");
  principal.groups = strings_at(*user, "groups");
  std::sort(principal.groups.begin(), principal.groups.end());
  principal.extra = canonical_extra(member(*user, "extra"));
  return principal;
}

Result<Principal> principal_of_claims(const TokenClaims& claims) {
  if (claims.service_account_uid.empty() || claims.ns.empty() || claims.service_account.empty() ||
      claims.subject != "system:serviceaccount:" + claims.ns + ":" + claims.service_account) {
    return make_error(Errc::kInvalidArgument, "not a service account's token");
  }
  Principal principal;
  principal.username = claims.subject;
  principal.uid = claims.service_account_uid;
  // As serviceaccount.UserInfo and the authenticated-group adder give them, sorted.
  principal.groups = {"system:authenticated", "system:serviceaccounts",
                      "system:serviceaccounts:" + claims.ns};
  return principal;
}

Principal with_impersonation(Principal principal, std::string impersonation) {
  principal.impersonation = std::move(impersonation);
  return principal;
}

}  // namespace holdfast::identity
