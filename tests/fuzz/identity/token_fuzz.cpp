#include "fuzz/fuzz.h"
#include "holdfast/identity/credential.h"
#include "holdfast/identity/process.h"
#include "identity/jwks.h"
#include "identity/jwt.h"
#include "identity/record.h"

using namespace holdfast::identity;

namespace {

const char* const kKeys =
    R"({"keys":[{"use":"sig","kty":"EC","kid":"k","alg":"ES256","crv":"P-256",)"
    R"("x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",)"
    R"("y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]})";

}  // namespace

/// No token is valid by a key that did not sign it, and an algorithm that is none never is.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = to_text(data, size);
  static const auto keys = Jwks::parse(kKeys).value();
  if (const auto parts = split_jwt(text)) {
    claim(parts->header.size() + parts->payload.size() + parts->signature.size() + 2 ==
          text.size());
  }
  if (const auto claims = read_claims(text)) {
    claim(split_jwt(text).has_value());
    claim(keys->verify(text, claims->algorithm, claims->key_id) != SignatureVerdict::kValid);
    claim(keys->verify(text, "none", "k") != SignatureVerdict::kValid);
    claim(keys->verify(text, "HS256", "k") != SignatureVerdict::kValid);
    (void)principal_of_claims(*claims);
  }
  (void)Jwks::parse(text);
  (void)parse_self_subject_review(text);
  (void)parse_cgroup_path(text);
  (void)parse_record(text);
  return 0;
}
