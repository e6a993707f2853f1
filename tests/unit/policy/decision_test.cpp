#include "holdfast/policy/decision.h"

#include <gtest/gtest.h>

namespace holdfast::policy {
namespace {

struct Row {
  const char* method;
  const char* target;
  Action action;
  Reason reason;
};

Decision decide_for(const char* method, const char* target, const RequestContext& context = {},
                    const config::Config& config = config::defaults({})) {
  return decide(kube::parse_request(method, target).value(), context, config);
}

TEST(Decide, ByDefault) {
  const Row rows[] = {
      {"GET", "/api/v1/namespaces/a/pods/b", Action::kCache, Reason::kDefault},
      {"GET", "/api/v1/pods", Action::kCache, Reason::kDefault},
      {"GET", "/api/v1/pods?watch=1", Action::kCache, Reason::kDefault},
      {"GET", "/apis/apps/v1/deployments", Action::kCache, Reason::kDefault},
      {"GET", "/apis/example.org/v1/widgets", Action::kCache, Reason::kDefault},
      {"GET", "/apis/apps/v1/namespaces/a/deployments/b/scale", Action::kCache, Reason::kDefault},
      {"GET", "/apis/apps/v1/namespaces/a/deployments/b/status", Action::kCache, Reason::kDefault},
      {"GET", "/api/v1/namespaces/a/secrets/b", Action::kMemory, Reason::kSecret},
      {"GET", "/api/v1/secrets?watch=1", Action::kMemory, Reason::kSecret},
      {"GET", "/apis/example.org/v1/secrets", Action::kCache, Reason::kDefault},
      {"GET", "/", Action::kCache, Reason::kDocument},
      {"GET", "/api", Action::kCache, Reason::kDocument},
      {"GET", "/apis/apps/v1", Action::kCache, Reason::kDocument},
      {"GET", "/openapi/v3", Action::kCache, Reason::kDocument},
      {"GET", "/openapi/v3/apis/apps/v1", Action::kCache, Reason::kDocument},
      {"GET", "/version", Action::kCache, Reason::kDocument},
      {"GET", "/openid/v1/jwks", Action::kCache, Reason::kDocument},
      {"POST", "/version", Action::kForward, Reason::kNotCacheable},
      {"GET", "/healthz", Action::kForward, Reason::kHealthOrMetrics},
      {"GET", "/livez/ping", Action::kForward, Reason::kHealthOrMetrics},
      {"GET", "/readyz?verbose", Action::kForward, Reason::kHealthOrMetrics},
      {"GET", "/metrics", Action::kForward, Reason::kHealthOrMetrics},
      {"GET", "/metrics/slis", Action::kForward, Reason::kHealthOrMetrics},
      {"GET", "/healthzz", Action::kForward, Reason::kNotCacheable},
      {"GET", "/logs/x", Action::kForward, Reason::kNotCacheable},
      {"POST", "/apis/authentication.k8s.io/v1/tokenreviews", Action::kForward, Reason::kReview},
      {"POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", Action::kForward,
       Reason::kReview},
      {"POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", Action::kForward,
       Reason::kReview},
      {"GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", Action::kForward,
       Reason::kReview},
      {"GET", "/api/v1/namespaces/a/pods/b/log", Action::kForward, Reason::kSubresource},
      {"POST", "/api/v1/namespaces/a/pods/b/eviction", Action::kForward, Reason::kSubresource},
      {"POST", "/api/v1/namespaces/a/serviceaccounts/b/token", Action::kForward,
       Reason::kSubresource},
      {"GET", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n", Action::kLease,
       Reason::kLease},
      {"PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n", Action::kLease,
       Reason::kLease},
      {"POST", "/api/v1/namespaces/a/pods", Action::kForward, Reason::kWrite},
      {"PUT", "/api/v1/namespaces/a/pods/b", Action::kForward, Reason::kWrite},
      {"PATCH", "/api/v1/namespaces/a/pods/b/status", Action::kForward, Reason::kWrite},
      {"DELETE", "/api/v1/namespaces/a/pods/b", Action::kForward, Reason::kWrite},
      {"DELETE", "/api/v1/namespaces/a/pods", Action::kForward, Reason::kWrite},
  };
  for (const auto& row : rows) {
    const auto decision = decide_for(row.method, row.target);
    EXPECT_EQ(to_string(decision.action), to_string(row.action)) << row.method << " " << row.target;
    EXPECT_EQ(to_string(decision.reason), to_string(row.reason)) << row.method << " " << row.target;
    EXPECT_EQ(decision.rule, -1);
  }
}

TEST(Decide, AnUpgradeIsTunnelledWhateverItIs) {
  for (const char* target : {"/api/v1/namespaces/a/pods/b/exec", "/api/v1/pods?watch=1", "/x"}) {
    EXPECT_EQ(decide_for("GET", target, {.upgrade = true}).action, Action::kTunnel) << target;
  }
}

TEST(Decide, ANodesSecretsMayGoToDisk) {
  EXPECT_EQ(decide_for("GET", "/api/v1/namespaces/a/secrets/b", {.node_component = true}).action,
            Action::kCache);
}

config::Config with_rules(std::string_view rules) {
  return config::parse("cache: {rules: [" + std::string{rules} + "]}", "test", {}).value();
}

struct RuleRow {
  const char* rule;  ///< without its action
  bool matches;
};

TEST(Decide, EachPatternOfARule) {
  const RequestContext context{.username = "system:serviceaccount:a:b",
                               .executable = "/usr/bin/app",
                               .user_agent = "App/1.0 (linux)"};
  const RuleRow rows[] = {
      {"", true},
      {"principal: \"system:serviceaccount:*\", ", true},
      {"principal: \"system:node:*\", ", false},
      {"namespace: web, ", true},
      {"namespace: we, ", false},
      {"executable: \"*/app\", ", true},
      {"executable: app, ", false},
      {"user_agent: \"app/*\", ", true},
      {"user_agent: \"kubelet/*\", ", false},
      {"resource: deployments, ", true},
      {"resource: deployments.apps, ", true},
      {"resource: \"*.apps\", ", true},
      {"resource: deployments.batch, ", false},
      {"resource: pods, ", false},
      {"resource: \"deployments/status\", ", false},
      {"verb: list, ", true},
      {"verb: watch, ", false},
      {"verb: list, resource: pods, ", false},
  };
  for (const auto& row : rows) {
    const auto config = with_rules("{" + std::string{row.rule} + "action: bypass}");
    const auto decision =
        decide_for("GET", "/apis/apps/v1/namespaces/web/deployments", context, config);
    EXPECT_EQ(decision.action, row.matches ? Action::kForward : Action::kCache) << row.rule;
    EXPECT_EQ(decision.rule, row.matches ? 0 : -1) << row.rule;
  }
}

TEST(Decide, UnderASealedKeyAKubeletsTokenMayBeOnDisk) {
  constexpr const char* kTarget = "/api/v1/namespaces/a/serviceaccounts/b/token";
  const RequestContext kubelet{
      .username = "system:node:edge-1", .node_component = true, .key_sealed = true};
  EXPECT_EQ(decide_for("POST", kTarget, kubelet).action, Action::kCache);
  EXPECT_EQ(decide_for("POST", kTarget, kubelet, with_rules("{action: cache}")).action,
            Action::kCache);
  EXPECT_EQ(decide_for("POST", kTarget, kubelet,
                       with_rules("{resource: serviceaccounts/token, action: memory}"))
                .action,
            Action::kMemory);
  const RequestContext pod{.username = "system:serviceaccount:a:b", .key_sealed = true};
  EXPECT_EQ(decide_for("POST", kTarget, pod).action, Action::kForward);
}

// Whoever reads a replayable token from a disk is that service account.
TEST(Decide, AKubeletsTokenIsOnDiskOnlyWhenARuleNamesIt) {
  constexpr const char* kTarget = "/api/v1/namespaces/a/serviceaccounts/b/token";
  const RequestContext kubelet{.username = "system:node:edge-1", .node_component = true};
  const auto by_default = decide_for("POST", kTarget, kubelet);
  EXPECT_EQ(by_default.action, Action::kMemory);
  EXPECT_EQ(by_default.reason, Reason::kToken);
  EXPECT_EQ(decide_for("POST", std::string{kTarget}.append("?dryRun=All").c_str(), kubelet).action,
            Action::kForward);
  struct Row {
    const char* rule;
    Action action;
  };
  const Row rows[] = {
      {"{resource: serviceaccounts/token, action: cache}", Action::kCache},
      {"{resource: serviceaccounts/token, verb: create, action: cache}", Action::kCache},
      {"{resource: serviceaccounts/token, verb: get, action: cache}", Action::kMemory},
      {"{resource: serviceaccounts/token, namespace: other, action: cache}", Action::kMemory},
      {"{action: cache}", Action::kMemory},
      {"{resource: \"*\", action: cache}", Action::kMemory},
      {"{resource: serviceaccounts/token, action: memory}", Action::kMemory},
      {"{resource: serviceaccounts/token, action: bypass}", Action::kForward},
      {"{action: bypass}", Action::kForward},
      {"{action: cache}, {resource: serviceaccounts/token, action: cache}", Action::kMemory},
  };
  for (const auto& row : rows) {
    const auto config = with_rules(row.rule);
    EXPECT_EQ(decide_for("POST", kTarget, kubelet, config).action, row.action) << row.rule;
    EXPECT_EQ(decide_for("POST", kTarget, {}, config).action, Action::kForward) << row.rule;
  }
}

TEST(Decide, TheFirstRuleWins) {
  const auto config = with_rules(
      "{resource: pods, verb: get, action: memory}, {resource: pods, action: bypass}, "
      "{resource: secrets, action: cache}");
  EXPECT_EQ(decide_for("GET", "/api/v1/namespaces/a/pods/b", {}, config),
            (Decision{Action::kMemory, Reason::kRule, 0}));
  EXPECT_EQ(decide_for("GET", "/api/v1/pods", {}, config),
            (Decision{Action::kForward, Reason::kRule, 1}));
  EXPECT_EQ(decide_for("GET", "/api/v1/secrets", {}, config),
            (Decision{Action::kCache, Reason::kRule, 2}));
}

TEST(Decide, NoRuleUndoesWhatIsNeverCached) {
  const auto config = with_rules("{action: cache}");
  EXPECT_EQ(decide_for("GET", "/api/v1/namespaces/a/pods/b/log", {}, config).action,
            Action::kForward);
  EXPECT_EQ(decide_for("GET", "/metrics", {}, config).action, Action::kForward);
  EXPECT_EQ(decide_for("POST", "/api/v1/namespaces/a/pods", {}, config).action, Action::kForward);
}

TEST(Decide, AnOpenYurtListKeepsItsMeaning) {
  const auto config = config::parse("cache: {cache_agents: my-agent}", "test", {}).value();
  const auto action = [&](const char* principal, const char* agent) {
    return decide_for("GET", "/api/v1/pods", {.username = principal, .user_agent = agent}, config)
        .action;
  };
  EXPECT_EQ(action("x", "My-Agent/v1"), Action::kCache);
  EXPECT_EQ(action("x", "my-agent"), Action::kCache);
  EXPECT_EQ(action("x", "my-agents/v1"), Action::kForward);
  EXPECT_EQ(action("x", "flanneld/v1"), Action::kCache);
  EXPECT_EQ(action("system:node:n", "k3s/v1"), Action::kCache);
  EXPECT_EQ(action("x", "curl/8"), Action::kForward);
}

}  // namespace
}  // namespace holdfast::policy
