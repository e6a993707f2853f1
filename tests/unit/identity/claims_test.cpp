#include <gtest/gtest.h>

#include "holdfast/identity/credential.h"
#include "identity/jwt.h"
#include "signer.h"

namespace holdfast::identity {
namespace {

std::string token_of(const std::string& header, const std::string& payload) {
  return base64url(header) + "." + base64url(payload) + "." + base64url("signature");
}

TEST(ReadClaims, ReadsAPodsToken) {
  const auto claims = read_claims(
      token_of(R"({"alg":"RS256","kid":"k1"})",
               R"({"aud":["https://kubernetes.default.svc","k3s"],"exp":1831536000,"iat":1800000000,
          "iss":"https://kubernetes.default.svc","jti":"x","nbf":1800000000,
          "sub":"system:serviceaccount:shop:till",
          "kubernetes.io":{"namespace":"shop","node":{"name":"edge-1","uid":"n"},
            "pod":{"name":"till-0","uid":"p-1"},"serviceaccount":{"name":"till","uid":"s-1"},
            "warnafter":1800003607}})"));
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->algorithm, "RS256");
  EXPECT_EQ(claims->key_id, "k1");
  EXPECT_EQ(claims->issuer, "https://kubernetes.default.svc");
  EXPECT_EQ(claims->audiences, (std::vector<std::string>{"https://kubernetes.default.svc", "k3s"}));
  EXPECT_EQ(claims->expires, 1831536000);
  EXPECT_EQ(claims->not_before, 1800000000);
  EXPECT_EQ(claims->issued, 1800000000);
  EXPECT_EQ(claims->ns, "shop");
  EXPECT_EQ(claims->service_account, "till");
  EXPECT_EQ(claims->service_account_uid, "s-1");
  EXPECT_EQ(claims->pod, "till-0");
  EXPECT_EQ(claims->pod_uid, "p-1");
  EXPECT_EQ(claims->node, "edge-1");
}

TEST(ReadClaims, ReadsATokenFromASecret) {
  const auto claims = read_claims(
      token_of(R"({"alg":"RS256","kid":"k1"})",
               R"({"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:shop:till",
          "kubernetes.io/serviceaccount/namespace":"shop",
          "kubernetes.io/serviceaccount/service-account.name":"till",
          "kubernetes.io/serviceaccount/service-account.uid":"s-1"})"));
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->service_account_uid, "s-1");
  EXPECT_EQ(claims->expires, 0);
  EXPECT_TRUE(claims->audiences.empty());
  EXPECT_TRUE(claims->pod_uid.empty());
}

TEST(ReadClaims, TakesOneAudienceAndFractions) {
  const auto claims = read_claims(token_of("{}", R"({"aud":"one","exp":1800000000.75})"));
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->audiences, std::vector<std::string>{"one"});
  EXPECT_EQ(claims->expires, 1800000000);
}

TEST(ReadClaims, RefusesWhatIsNoJwt) {
  const std::string good = token_of("{}", "{}");
  const std::string bad[] = {
      "",
      ".",
      "..",
      "...",
      "opaque",
      "a.b",
      "a.b.c",
      good + ".more.parts",
      good + "=",
      " " + good,
      token_of("[]", "{}"),
      token_of("{}", "7"),
      token_of("{", "{}"),
      token_of("{}", R"({"exp":"tomorrow"})"),
      token_of("{}", R"({"exp":-5})"),
      token_of("{}", R"({"exp":1e300})"),
      token_of("{}", R"({"nbf":true})"),
      std::string(100'000, 'A') + ".e30.AA",
  };
  for (const auto& token : bad) {
    const auto claims = read_claims(token);
    ASSERT_FALSE(claims) << token.substr(0, 80);
    EXPECT_EQ(claims.error().code, make_error_code(Errc::kInvalidArgument));
  }
}

TEST(ReadClaims, WrongTypesReadAsAbsent) {
  const auto claims = read_claims(token_of(
      R"({"alg":5,"kid":null})", R"({"iss":{},"sub":[],"aud":[1,"a",null],"kubernetes.io":"x"})"));
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->algorithm, "");
  EXPECT_EQ(claims->issuer, "");
  EXPECT_EQ(claims->audiences, std::vector<std::string>{"a"});
  EXPECT_EQ(claims->ns, "");
}

TEST(Base64url, IsStrict) {
  EXPECT_EQ(base64url_decode(""), "");
  EXPECT_EQ(base64url_decode("Zg"), "f");
  EXPECT_EQ(base64url_decode("Zm8"), "fo");
  EXPECT_EQ(base64url_decode("Zm9v"), "foo");
  EXPECT_EQ(base64url_decode("-_8"), "\xfb\xff");
  for (const char* text : {"Z", "Zh", "Zm9", "Zg==", "Zm 9v", "Zm9v\n", "+/8", "Zm9vA"}) {
    EXPECT_FALSE(base64url_decode(text)) << text;
  }
}

TEST(PrincipalOfClaims, IsTheAccountThatTheSubjectNames) {
  TokenClaims claims{.subject = "system:serviceaccount:shop:till",
                     .ns = "shop",
                     .service_account = "till",
                     .service_account_uid = "s-1"};
  const auto principal = principal_of_claims(claims);
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->username, "system:serviceaccount:shop:till");
  EXPECT_EQ(principal->uid, "s-1");
  EXPECT_EQ(principal->groups,
            (std::vector<std::string>{"system:authenticated", "system:serviceaccounts",
                                      "system:serviceaccounts:shop"}));
  claims.subject = "system:serviceaccount:kube-system:admin";
  EXPECT_FALSE(principal_of_claims(claims));
  claims.subject = "system:serviceaccount:shop:till";
  claims.service_account_uid.clear();
  EXPECT_FALSE(principal_of_claims(claims));
}

}  // namespace
}  // namespace holdfast::identity
