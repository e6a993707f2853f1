#include "request/denials.h"

#include <gtest/gtest.h>

namespace holdfast::request {
namespace {

kube::RequestAttributes asked(const std::string& target) {
  return kube::parse_request("GET", target).value();
}

constexpr const char* kList = "/api/v1/namespaces/apps/pods";

class DenialsTest : public testing::Test {
 protected:
  void deny(const std::string& target, std::uint64_t era = 1) {
    denials_.denied(who_, asked(target), era, {.message = "no " + target, .at = now_});
  }
  bool knows(const std::string& target, std::uint64_t era = 1) {
    return denials_.find(who_, asked(target), era).has_value();
  }

  identity::PrincipalId who_{{1}}, other_{{2}};
  std::chrono::system_clock::time_point now_{std::chrono::seconds{1'700'000'000}};
  Denials denials_;
};

TEST_F(DenialsTest, TellsWhatWasSaidToThatQuestionOfThatPrincipal) {
  deny(kList);
  const auto denial = denials_.find(who_, asked(std::string{kList} + "?limit=500"), 1);
  ASSERT_TRUE(denial);
  EXPECT_EQ(denial->message, std::string{"no "} + kList);
  EXPECT_EQ(denial->at, now_);
  EXPECT_FALSE(denials_.find(other_, asked(kList), 1));
  EXPECT_FALSE(knows(std::string{kList} + "?watch=1")) << "another verb";
  EXPECT_FALSE(knows(std::string{kList} + "?fieldSelector=spec.nodeName%3Da")) << "another scope";
  EXPECT_FALSE(knows("/api/v1/namespaces/apps/pods/one"));
}

TEST_F(DenialsTest, EndsWithAnAnswer) {
  deny(kList);
  deny("/api/v1/nodes");
  denials_.allowed(other_, asked(kList));
  EXPECT_TRUE(knows(kList));
  denials_.allowed(who_, asked(kList));
  EXPECT_FALSE(knows(kList));
  EXPECT_TRUE(knows("/api/v1/nodes"));
}

TEST_F(DenialsTest, IsOfOneHistoryOfTheCluster) {
  deny(kList, 1);
  EXPECT_FALSE(knows(kList, 2));
}

TEST_F(DenialsTest, TheOldestGoesAndLongOnesAreNotKept) {
  for (int i = 0; i < 3000; ++i) {
    deny("/api/v1/namespaces/n" + std::to_string(i) + "/pods");
    now_ += std::chrono::seconds{1};
  }
  EXPECT_FALSE(knows("/api/v1/namespaces/n0/pods"));
  EXPECT_FALSE(knows("/api/v1/namespaces/n1000/pods"));
  EXPECT_TRUE(knows("/api/v1/namespaces/n2999/pods"));
  auto selector = std::string{kList} + "?labelSelector=app";
  while (selector.size() < 5000) selector += ",app";
  deny(selector);
  EXPECT_FALSE(knows(selector));
}

}  // namespace
}  // namespace holdfast::request
