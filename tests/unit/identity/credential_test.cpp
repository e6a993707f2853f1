#include "holdfast/identity/credential.h"

#include <gtest/gtest.h>

#include "fakes.h"
#include "identity/credential_hash.h"

namespace holdfast::identity {
namespace {

using Kind = Credential::Kind;

TEST(CredentialOf, ReadsTheHeaderAsTheApiServerDoes) {
  const struct {
    const char* header;
    const char* token;  // empty: anonymous
  } cases[] = {
      {"", ""},
      {"Bearer abc", "abc"},
      {"bearer abc", "abc"},
      {"BEARER abc", "abc"},
      {"  Bearer abc  ", "abc"},
      {"Bearer abc def", "abc"},
      {"Bearer  abc", ""},  // two spaces: the token is empty
      {"Bearer", ""},
      {"Bearer ", ""},
      {"Basic YWRtaW46YWRtaW4=", ""},
      {"Bearerabc", ""},
      {"abc", ""},
      {"Negotiate x", ""},
  };
  for (const auto& c : cases) {
    const auto credential = credential_of(c.header, "");
    EXPECT_EQ(credential.token, c.token) << c.header;
    EXPECT_EQ(credential.kind, *c.token ? Kind::kBearer : Kind::kAnonymous) << c.header;
  }
}

TEST(CredentialOf, ACertificateWins) {
  const auto credential = credential_of("Bearer abc", "00ff");
  EXPECT_EQ(credential.kind, Kind::kCertificate);
  EXPECT_EQ(credential.certificate, "00ff");
  EXPECT_EQ(credential.token, "");
}

TEST(CredentialHasher, DependsOnKeyKindAndText) {
  const CredentialHasher hasher{"key"}, other{"other key"};
  const auto hash = hasher(bearer("abc"));
  EXPECT_EQ(hash, hasher(bearer("abc")));
  EXPECT_EQ(hash, CredentialHasher{"key"}(bearer("abc")));
  EXPECT_NE(hash, other(bearer("abc")));
  EXPECT_NE(hash, hasher(bearer("abd")));
  EXPECT_NE(hash, hasher(certificate("abc", 1)));
  EXPECT_EQ(hasher(certificate("abc", 1)), hasher(certificate("abc", 2)));
  EXPECT_EQ(hasher({}), CredentialHash{});
}

TEST(CredentialHasher, RemembersRightlyWhenManyComeByTurns) {
  const CredentialHasher hasher{"key"};
  std::vector<CredentialHash> first;
  for (int i = 0; i < 500; ++i) first.push_back(hasher(bearer("token" + std::to_string(i))));
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(CredentialHasher{"key"}(bearer("token" + std::to_string(i))), first[i]);
    EXPECT_EQ(hasher(bearer("token" + std::to_string(i))), first[i]);
  }
}

}  // namespace
}  // namespace holdfast::identity
