#include <gtest/gtest.h>

#include <algorithm>

#include "holdfast/config/rules.h"

namespace holdfast::config {
namespace {

bool has(const std::vector<CacheRule>& rules, const std::string& user_agent) {
  return std::any_of(rules.begin(), rules.end(), [&](const CacheRule& rule) {
    return rule.user_agent == user_agent && rule.action == CacheAction::kCache;
  });
}

TEST(CacheAgents, NothingSaysNothing) {
  for (const char* text : {"", " ", ",", " , "}) {
    EXPECT_TRUE(parse_cache_agents(text).value().empty()) << text;
  }
}

TEST(CacheAgents, AStarIsEverybody) {
  for (const char* text : {"*", "kubelet,*", " * "}) {
    const auto rules = parse_cache_agents(text).value();
    ASSERT_EQ(rules.size(), 1u) << text;
    EXPECT_TRUE(rules[0] == CacheRule{.action = CacheAction::kCache});
  }
}

TEST(CacheAgents, AListIsTheseAndTheDefaultsAndNobodyElse) {
  const auto rules = parse_cache_agents("my-agent, other.agent_2").value();
  for (const char* agent :
       {"my-agent", "my-agent/*", "other.agent_2/*", "kubelet/*", "coredns/*"}) {
    EXPECT_TRUE(has(rules, agent)) << agent;
  }
  EXPECT_TRUE(rules.front().principal == "system:node:*");
  EXPECT_TRUE(rules.back() == CacheRule{.action = CacheAction::kBypass});
}

TEST(CacheAgents, RefusesWhatIsNoName) {
  for (const char* text : {"a b", "kube*", "a/b", "a;b"}) {
    EXPECT_FALSE(parse_cache_agents(text)) << text;
  }
}

}  // namespace
}  // namespace holdfast::config
