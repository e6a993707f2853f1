#include "holdfast/policy/lease.h"

#include <algorithm>

#include "holdfast/policy/glob.h"

namespace holdfast::policy {
namespace {

/// Where kubelets keep their heartbeats (KEP-589).
constexpr std::string_view kNodeLeases = "kube-node-lease";

}  // namespace

config::LeasePolicy lease_policy(const LeaseContext& lease, const config::Lease& config) {
  const auto matches = [&lease](const config::LeaseRule& rule) {
    return glob_match(rule.ns, lease.ns) && glob_match(rule.name, lease.name) &&
           glob_match(rule.holder, lease.holder) && glob_match(rule.executable, lease.executable) &&
           glob_match(rule.pod, lease.pod);
  };
  const auto rule = std::ranges::find_if(config.rules, matches);
  const auto policy = rule != config.rules.end() ? rule->policy : config.policy;
  if (policy != config::LeasePolicy::kAuto) return policy;
  return lease.ns == kNodeLeases ? config::LeasePolicy::kHold : config::LeasePolicy::kForward;
}

}  // namespace holdfast::policy
