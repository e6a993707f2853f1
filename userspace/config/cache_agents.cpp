#include <algorithm>
#include <string>

#include "holdfast/config/rules.h"

namespace holdfast::config {
namespace {

// OpenYurt's pkg/yurthub/cachemanager: agents that are cached whatever the list says.
constexpr std::string_view kOpenYurtDefaults[] = {"kubelet",         "kube-proxy", "flanneld",
                                                  "coredns",         "yurthub",    "raven-agent-ds",
                                                  "yurttunnel-agent"};

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_agent_name(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

void add_agent(std::vector<CacheRule>& rules, std::string_view name) {
  // The part before the slash, or all of a User-Agent that has none.
  rules.push_back({.user_agent = std::string{name} + "/*", .action = CacheAction::kCache});
  rules.push_back({.user_agent = std::string{name}, .action = CacheAction::kCache});
}

}  // namespace

Result<std::vector<CacheRule>> parse_cache_agents(std::string_view text) {
  std::vector<CacheRule> rules;
  std::vector<std::string_view> names;
  bool all = false;
  for (std::string_view rest = text; !rest.empty();) {
    const auto comma = std::min(rest.find(','), rest.size());
    const auto name = trim(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    if (name.empty()) continue;  // OpenYurt skips empty parts, too
    if (name == "*") {
      all = true;
    } else if (is_agent_name(name)) {
      names.push_back(name);
    } else {
      return make_error(Errc::kInvalidArgument,
                        "\"" + std::string{name} +
                            "\" is not an agent's name; expected \"*\" or names such as "
                            "\"kubelet,flanneld\"");
    }
  }
  if (all) {
    rules.push_back({.action = CacheAction::kCache});
    return rules;
  }
  if (names.empty()) return rules;
  // K3s's kubelet has no User-Agent of its own: node components are known by who they are.
  for (const char* principal : {"system:node:*", "system:kube-proxy", "system:k3s-controller"}) {
    rules.push_back({.principal = principal, .action = CacheAction::kCache});
  }
  for (const auto name : kOpenYurtDefaults) add_agent(rules, name);
  for (const auto name : names) add_agent(rules, name);
  rules.push_back({.action = CacheAction::kBypass});
  return rules;
}

}  // namespace holdfast::config
