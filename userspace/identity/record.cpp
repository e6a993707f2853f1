#include "identity/record.h"

#include "identity/json.h"

namespace holdfast::identity {
namespace {

constexpr std::int64_t kFormat = 1;

}  // namespace

CredentialRecord make_record(const Credential& credential, Principal principal, std::int64_t now) {
  CredentialRecord record{
      .kind = credential.kind, .principal = std::move(principal), .learned = now, .accepted = now};
  if (credential.kind == Credential::Kind::kCertificate) {
    record.expires = credential.certificate_not_after;
    return record;
  }
  const auto claims = read_claims(credential.token);
  if (!claims) return record;
  record.jwt = true;
  record.expires = claims->expires;
  record.pod_uid = claims->pod_uid;
  record.node = claims->node;
  // Other issuers' keys are not in the cluster's JWKS: their tokens teach nothing about it.
  const auto account = principal_of_claims(*claims);
  if (account && account->username == record.principal.username &&
      account->uid == record.principal.uid) {
    record.issuer = claims->issuer;
    record.audiences = claims->audiences;
  }
  return record;
}

std::string serialize(const CredentialRecord& record) {
  const auto& principal = record.principal;
  return to_text({{"v", kFormat},
                  {"kind", static_cast<int>(record.kind)},
                  {"jwt", record.jwt},
                  {"refused", record.refused},
                  {"user", principal.username},
                  {"uid", principal.uid},
                  {"groups", principal.groups},
                  {"extra", principal.extra},
                  {"learned", record.learned},
                  {"accepted", record.accepted},
                  {"expires", record.expires},
                  {"pod", record.pod_uid},
                  {"node", record.node},
                  {"iss", record.issuer},
                  {"aud", record.audiences}});
}

std::optional<CredentialRecord> parse_record(std::string_view text) {
  const auto json = parse_object(text);
  if (!json || integer_at(*json, "v") != kFormat) return std::nullopt;
  CredentialRecord record;
  const auto kind = integer_at(*json, "kind");
  if (kind == static_cast<int>(Credential::Kind::kBearer)) {
    record.kind = Credential::Kind::kBearer;
  } else if (kind == static_cast<int>(Credential::Kind::kCertificate)) {
    record.kind = Credential::Kind::kCertificate;
  } else {
    return std::nullopt;
  }
  const auto* jwt = member(*json, "jwt");
  record.jwt = jwt && jwt->is_boolean() && jwt->get<bool>();
  const auto* refused = member(*json, "refused");
  record.refused = refused && refused->is_boolean() && refused->get<bool>();
  record.principal.username = string_at(*json, "user");
  record.principal.uid = string_at(*json, "uid");
  record.principal.groups = strings_at(*json, "groups");
  record.principal.extra = string_at(*json, "extra");
  record.learned = integer_at(*json, "learned");
  record.accepted = integer_at(*json, "accepted");
  record.expires = integer_at(*json, "expires");
  record.pod_uid = string_at(*json, "pod");
  record.node = string_at(*json, "node");
  record.issuer = string_at(*json, "iss");
  record.audiences = strings_at(*json, "aud");
  if (record.principal.username.empty() && !record.refused) return std::nullopt;
  return record;
}

}  // namespace holdfast::identity
