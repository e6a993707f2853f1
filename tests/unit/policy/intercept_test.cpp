#include <gtest/gtest.h>

#include "holdfast/policy/decision.h"

namespace holdfast::policy {
namespace {

using config::InterceptAction;

TEST(Intercept, RedirectsWhatNoRuleSpeaksOf) {
  EXPECT_EQ(intercept_action({.executable = "/bin/a"}, {}), InterceptAction::kRedirect);
}

TEST(Intercept, TheFirstMatchWins) {
  const std::vector<config::InterceptRule> rules{
      {.executable = "*/envoy", .action = InterceptAction::kSplice},
      {.ns = "kube-system", .pod = "cilium-*", .action = InterceptAction::kBypass},
      {.ns = "kube-system", .action = InterceptAction::kSplice},
      {.executable = "/usr/bin/kubelet", .ns = "?*", .action = InterceptAction::kBypass}};
  EXPECT_EQ(intercept_action({"/usr/bin/envoy", "kube-system", "cilium-1"}, rules),
            InterceptAction::kSplice);
  EXPECT_EQ(intercept_action({"/x", "kube-system", "cilium-1"}, rules), InterceptAction::kBypass);
  EXPECT_EQ(intercept_action({"/x", "kube-system", "dns"}, rules), InterceptAction::kSplice);
  EXPECT_EQ(intercept_action({"/usr/bin/kubelet", "", ""}, rules), InterceptAction::kRedirect);
  EXPECT_EQ(intercept_action({"", "", ""}, rules), InterceptAction::kRedirect);
}

}  // namespace
}  // namespace holdfast::policy
