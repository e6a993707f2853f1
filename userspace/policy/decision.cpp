#include "holdfast/policy/decision.h"

#include <algorithm>
#include <string>

#include "holdfast/policy/glob.h"

namespace holdfast::policy {
namespace {

using kube::RequestAttributes;
using kube::Verb;

bool is_below(std::string_view path, std::string_view prefix) {
  return path == prefix ||
         (path.starts_with(prefix) && path.size() > prefix.size() && path[prefix.size()] == '/');
}

bool is_any_of(std::string_view path, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return is_below(path, prefix); });
}

Decision decide_path(const RequestAttributes& request) {
  if (is_any_of(request.path, {"/healthz", "/livez", "/readyz", "/metrics"})) {
    return {Action::kForward, Reason::kHealthOrMetrics};
  }
  if (request.verb != Verb::kGet) return {Action::kForward, Reason::kNotCacheable};
  if (request.path == "/" || is_any_of(request.path, {"/api", "/apis", "/openapi", "/version",
                                                      "/openid", "/.well-known"})) {
    return {Action::kCache, Reason::kDocument};
  }
  return {Action::kForward, Reason::kNotCacheable};
}

/// Their answer holds for the moment of asking: all of authentication.k8s.io and
/// authorization.k8s.io, and whatever else calls itself a review (aggregated APIs do).
bool is_review(const RequestAttributes& request) {
  const auto& gvr = request.gvr;
  return gvr.group == "authentication.k8s.io" || gvr.group == "authorization.k8s.io" ||
         gvr.resource.ends_with("reviews");
}

bool is_write(Verb verb) {
  switch (verb) {
    case Verb::kCreate:
    case Verb::kUpdate:
    case Verb::kPatch:
    case Verb::kDelete:
    case Verb::kDeleteCollection:
      return true;
    default:
      return false;
  }
}

/// What a rule's `resource` may name the request by. Strings only where there is more than a word.
bool resource_matches(const std::string& pattern, const RequestAttributes& request) {
  if (pattern == "*") return true;
  const auto& gvr = request.gvr;
  const std::string suffix = request.subresource.empty() ? "" : "/" + request.subresource;
  if (glob_match(pattern, gvr.resource + suffix)) return true;
  return !gvr.group.empty() && glob_match(pattern, gvr.resource + "." + gvr.group + suffix);
}

bool rule_matches(const config::CacheRule& rule, const RequestAttributes& request,
                  const RequestContext& context) {
  return glob_match(rule.principal, context.username) && glob_match(rule.ns, request.ns) &&
         glob_match(rule.executable, context.executable) &&
         glob_match_nocase(rule.user_agent, context.user_agent) &&
         glob_match(rule.verb, kube::to_string(request.verb)) &&
         resource_matches(rule.resource, request);
}

Action action_of(config::CacheAction action) {
  switch (action) {
    case config::CacheAction::kCache:
      return Action::kCache;
    case config::CacheAction::kMemory:
      return Action::kMemory;
    case config::CacheAction::kBypass:
      break;
  }
  return Action::kForward;
}

constexpr std::string_view kTokenResource = "serviceaccounts/token";

/// Whoever reads a replayable token from a disk is that service account. It goes there under a key
/// that is sealed, or where a rule names the very resource, which is the operator saying so.
Decision decide_token(const RequestAttributes& request, const RequestContext& context,
                      const config::Config& config) {
  for (std::size_t i = 0; i < config.cache.rules.size(); ++i) {
    const auto& rule = config.cache.rules[i];
    if (!rule_matches(rule, request, context)) continue;
    const auto action = action_of(rule.action);
    if (action == Action::kCache && rule.resource != kTokenResource && !context.key_sealed) break;
    return {action, Reason::kRule, static_cast<int>(i)};
  }
  return {context.key_sealed ? Action::kCache : Action::kMemory, Reason::kToken};
}

}  // namespace

bool is_token_request(const RequestAttributes& request) {
  return request.gvr.group.empty() && request.gvr.resource == "serviceaccounts" &&
         request.subresource == "token" && request.verb == Verb::kCreate && !request.dry_run;
}

bool may_keep_tokens(const config::Config& config, bool key_sealed) {
  return key_sealed || std::ranges::any_of(config.cache.rules, [](const config::CacheRule& rule) {
           return rule.action == config::CacheAction::kCache && rule.resource == kTokenResource;
         });
}

Decision decide(const RequestAttributes& request, const RequestContext& context,
                const config::Config& config) {
  if (context.upgrade) return {Action::kTunnel, Reason::kUpgrade};
  if (!request.resource_request) return decide_path(request);
  if (is_review(request)) return {Action::kForward, Reason::kReview};
  if (context.node_component && is_token_request(request)) {
    return decide_token(request, context, config);
  }
  if (!request.subresource.empty() && request.subresource != "status" &&
      request.subresource != "scale") {
    return {Action::kForward, Reason::kSubresource};
  }
  const auto& gvr = request.gvr;
  if (gvr.group == "coordination.k8s.io" && gvr.resource == "leases") {
    return {Action::kLease, Reason::kLease};
  }
  if (is_write(request.verb)) return {Action::kForward, Reason::kWrite};
  if (!request.is_read() || request.options.unknown) {
    return {Action::kForward, Reason::kNotCacheable};
  }

  for (std::size_t i = 0; i < config.cache.rules.size(); ++i) {
    const auto& rule = config.cache.rules[i];
    if (!rule_matches(rule, request, context)) continue;
    return {action_of(rule.action), Reason::kRule, static_cast<int>(i)};
  }
  if (gvr.group.empty() && gvr.resource == "secrets" && !context.node_component) {
    return {Action::kMemory, Reason::kSecret};
  }
  return {Action::kCache, Reason::kDefault};
}

}  // namespace holdfast::policy
