#include "read/version_rules.h"

#include <gtest/gtest.h>

namespace holdfast::read {
namespace {

using kube::ResourceVersionMatch;
using Kind = VersionDemand::Kind;

struct Case {
  const char* version;
  ResourceVersionMatch match;
  std::uint64_t limit;
  const char* continue_token;
  kube::ResourceVersion have;
  bool serve_consistent;
  VersionVerdict want;
};

// https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list
TEST(VersionRules, FollowTheTable) {
  constexpr auto kUnset = ResourceVersionMatch::kUnset;
  constexpr auto kNotOlder = ResourceVersionMatch::kNotOlderThan;
  constexpr auto kExact = ResourceVersionMatch::kExact;
  const Case cases[] = {
      {"", kUnset, 0, "", 7, true, VersionVerdict::kServe},
      {"", kUnset, 0, "", 7, false, VersionVerdict::kRefuse},
      {"0", kUnset, 0, "", 7, false, VersionVerdict::kServe},
      {"0", kUnset, 500, "", 7, false, VersionVerdict::kServe},
      {"0", kNotOlder, 0, "", 7, false, VersionVerdict::kServe},
      {"7", kUnset, 0, "", 7, true, VersionVerdict::kServe},
      {"8", kUnset, 0, "", 7, true, VersionVerdict::kTooLarge},
      {"8", kNotOlder, 0, "", 7, true, VersionVerdict::kTooLarge},
      {"6", kNotOlder, 0, "", 7, true, VersionVerdict::kServe},
      {"7", kExact, 0, "", 7, true, VersionVerdict::kServe},
      {"6", kExact, 0, "", 7, true, VersionVerdict::kExpired},
      {"8", kExact, 0, "", 7, true, VersionVerdict::kExpired},
      {"6", kUnset, 500, "", 7, true, VersionVerdict::kExpired},
      {"", kUnset, 500, "token", 7, true, VersionVerdict::kExpired},
      {"seven", kUnset, 0, "", 7, true, VersionVerdict::kRefuse},
  };
  for (const auto& c : cases) {
    kube::RequestAttributes attributes;
    attributes.verb = kube::Verb::kList;
    attributes.options.resource_version = c.version;
    attributes.options.match = c.match;
    attributes.options.limit = c.limit;
    attributes.options.continue_token = c.continue_token;
    EXPECT_EQ(judge_version(version_demand(attributes), c.have, c.serve_consistent), c.want)
        << c.version << " limit " << c.limit;
  }
}

}  // namespace
}  // namespace holdfast::read
