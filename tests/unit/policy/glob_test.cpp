#include "holdfast/policy/glob.h"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::policy {
namespace {

struct Row {
  const char* pattern;
  const char* text;
  bool matches;
};

TEST(Glob, MatchesTheWholeText) {
  const Row rows[] = {
      {"", "", true},
      {"", "a", false},
      {"*", "", true},
      {"*", "anything", true},
      {"**", "", true},
      {"?", "", false},
      {"?", "a", true},
      {"?", "ab", false},
      {"a", "a", true},
      {"a", "A", false},
      {"a", "ab", false},
      {"a*", "a", true},
      {"a*", "abc", true},
      {"*c", "abc", true},
      {"*c", "abd", false},
      {"a*c", "abbc", true},
      {"a*c", "ac", true},
      {"a*c", "acb", false},
      {"a?c", "abc", true},
      {"a?c", "ac", false},
      {"*b*", "abc", true},
      {"*b*", "ac", false},
      {"a*b*c", "aXbYbZc", true},
      {"*ab", "aab", true},
      {"*/kubelet", "/usr/bin/kubelet", true},
      {"*/kubelet", "kubelet", false},
      {"[a]", "a", false},
      {"\\*", "*", false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(glob_match(row.pattern, row.text), row.matches) << row.pattern << " " << row.text;
  }
}

TEST(Glob, WithoutRegardToCase) {
  EXPECT_TRUE(glob_match_nocase("KubeLet/*", "kubelet/v1"));
  EXPECT_TRUE(glob_match_nocase("kubelet/*", "KUBELET/v1"));
  EXPECT_FALSE(glob_match_nocase("kubelet", "kubelets"));
  EXPECT_FALSE(glob_match_nocase("@", "`"));
}

TEST(Glob, AHostilePatternEndsSoon) {
  std::string pattern;
  for (int i = 0; i < 300; ++i) pattern += "*a";
  pattern += "b";
  EXPECT_FALSE(glob_match(pattern, std::string(10'000, 'a')));
}

}  // namespace
}  // namespace holdfast::policy
