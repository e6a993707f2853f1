#include "holdfast/policy/decision.h"
#include "holdfast/policy/glob.h"

namespace holdfast::policy {

config::InterceptAction intercept_action(const ProcessContext& process,
                                         const std::vector<config::InterceptRule>& rules) {
  for (const auto& rule : rules) {
    if (glob_match(rule.executable, process.executable) &&
        glob_match(rule.ns, process.pod_namespace) && glob_match(rule.pod, process.pod)) {
      return rule.action;
    }
  }
  return config::InterceptAction::kRedirect;
}

}  // namespace holdfast::policy
