#include "holdfast/identity/principal.h"

#include <gtest/gtest.h>

#include "holdfast/identity/credential.h"

namespace holdfast::identity {
namespace {

const Principal kTill{.username = "system:serviceaccount:shop:till",
                      .uid = "s-1",
                      .groups = {"system:authenticated", "system:serviceaccounts"}};

TEST(PrincipalId, EachFieldCounts) {
  EXPECT_EQ(kTill.id(), Principal{kTill}.id());
  auto other = kTill;
  other.uid = "s-2";  // recreated
  EXPECT_NE(other.id(), kTill.id());
  other = kTill;
  other.groups.push_back("admins");
  EXPECT_NE(other.id(), kTill.id());
  other = kTill;
  other.extra = R"({"scopes":["x"]})";
  EXPECT_NE(other.id(), kTill.id());
  EXPECT_NE(with_impersonation(kTill, "user=root").id(), kTill.id());
}

TEST(PrincipalId, FieldsCannotRunIntoEachOther) {
  const Principal a{.username = "ab", .uid = "c"};
  const Principal b{.username = "a", .uid = "bc"};
  EXPECT_NE(a.id(), b.id());
  const Principal two{.username = "u", .groups = {"a", "b"}};
  const Principal one{.username = "u", .groups = {"a1:b"}};
  EXPECT_NE(one.id(), two.id());
  const Principal extra{.username = "u", .extra = "x"};
  const Principal impersonated{.username = "u", .impersonation = "x"};
  EXPECT_NE(extra.id(), impersonated.id());
}

TEST(Principal, NodeComponents) {
  const std::vector<std::string> nodes = {"system:authenticated", "system:nodes"};
  const struct {
    Principal principal;
    bool node, component;
  } cases[] = {
      {{.username = "system:node:edge-1", .groups = nodes}, true, true},
      {{.username = "system:node:edge-1"}, false, false},  // a name is not yet a node
      {{.username = "someone", .groups = nodes}, false, false},
      {{.username = "system:kube-proxy"}, false, true},
      {{.username = "system:k3s-controller"}, false, true},
      {{.username = "system:serviceaccount:kube-system:kube-proxy"}, false, true},
      {{.username = "system:serviceaccount:shop:kube-proxy"}, false, false},
      {{.username = "system:node:edge-1", .groups = nodes, .impersonation = "user=x"},
       false,
       false},
      {{.username = "system:kube-proxy", .impersonation = "user=x"}, false, false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(c.principal.is_node(), c.node) << c.principal.username;
    EXPECT_EQ(c.principal.is_node_component(), c.component) << c.principal.username;
  }
}

std::string review(const std::string& user) {
  return R"({"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1",)"
         R"("metadata":{"creationTimestamp":null},"status":{"userInfo":)" +
         user + "}}";
}

TEST(SelfSubjectReview, TwoTokensOfOneAccountAreOnePrincipal) {
  const auto first = parse_self_subject_review(review(
      R"({"username":"system:serviceaccount:shop:till","uid":"s-1",
          "groups":["system:serviceaccounts","system:authenticated"],
          "extra":{"authentication.kubernetes.io/credential-id":["JTI=1"],
                   "authentication.kubernetes.io/node-name":["edge-1"],
                   "authentication.kubernetes.io/node-uid":["n"],
                   "authentication.kubernetes.io/pod-name":["till-0"],
                   "authentication.kubernetes.io/pod-uid":["p-1"]}})"));
  const auto second = parse_self_subject_review(review(
      R"({"username":"system:serviceaccount:shop:till","uid":"s-1",
          "groups":["system:authenticated","system:serviceaccounts"],
          "extra":{"authentication.kubernetes.io/credential-id":["JTI=2"]}})"));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(first->id(), kTill.id());
  EXPECT_EQ(first->extra, "");
}

TEST(SelfSubjectReview, OtherExtraCounts) {
  const auto a = parse_self_subject_review(review(R"({"username":"u","extra":{"b":["2"],"a":["1"],
                 "authentication.kubernetes.io/credential-id":["X"]}})"));
  const auto b =
      parse_self_subject_review(review(R"({"username":"u","extra":{"a":["1"],"b":["2"]}})"));
  const auto c = parse_self_subject_review(review(R"({"username":"u","extra":{"a":["1"]}})"));
  ASSERT_TRUE(a && b && c);
  EXPECT_EQ(a->extra, R"({"a":["1"],"b":["2"]})");
  EXPECT_EQ(*a, *b);
  EXPECT_NE(a->id(), c->id());
}

TEST(SelfSubjectReview, RefusesOtherAnswers) {
  for (const std::string& text :
       {std::string{}, std::string{"{"}, std::string{"[]"},
        std::string{R"({"kind":"Status","status":"Failure","code":403})"},
        std::string{R"({"kind":"SelfSubjectReview"})"},
        std::string{R"({"kind":"SelfSubjectReview","status":{}})"}, review("{}"), review("7"),
        review(R"({"username":5})"), review(R"({"username":""})")}) {
    EXPECT_FALSE(parse_self_subject_review(text)) << text;
  }
}

TEST(SelfSubjectReview, AsksInTheStableVersion) {
  EXPECT_EQ(self_subject_review_body(),
            R"({"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"})");
}

}  // namespace
}  // namespace holdfast::identity
