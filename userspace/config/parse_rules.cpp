#include "config/parse_rules.h"

namespace holdfast::config {
namespace {

constexpr std::size_t kMaxRules = 1'000;  // each is looked at for each request
constexpr std::size_t kMaxPatternBytes = 1'024;

constexpr std::pair<std::string_view, InterceptAction> kInterceptActions[] = {
    {"redirect", InterceptAction::kRedirect},
    {"bypass", InterceptAction::kBypass},
    {"splice", InterceptAction::kSplice}};
constexpr std::pair<std::string_view, CacheAction> kCacheActions[] = {
    {"cache", CacheAction::kCache},
    {"bypass", CacheAction::kBypass},
    {"memory", CacheAction::kMemory}};
constexpr std::pair<std::string_view, LeasePolicy> kLeasePolicies[] = {
    {"auto", LeasePolicy::kAuto},
    {"forward", LeasePolicy::kForward},
    {"hold", LeasePolicy::kHold},
    {"coalesce", LeasePolicy::kCoalesce},
    {"local", LeasePolicy::kLocal}};

template <class Enum, std::size_t N>
std::string_view word_of(const std::pair<std::string_view, Enum> (&words)[N], Enum value) {
  for (const auto& [word, v] : words) {
    if (v == value) return word;
  }
  return "?";
}

void read_glob(NodeReader& rule, std::string_view name, std::string& out) {
  rule.key(name, [&](const NodeReader& node) {
    std::string raw;
    if (!node.text(raw)) return;
    // An empty pattern would match what is unknown only: nobody means that.
    if (raw.empty()) return node.problem("is empty; expected a pattern, such as \"*\"");
    if (raw.size() > kMaxPatternBytes) return node.problem("is longer than 1024 bytes");
    out = std::move(raw);
  });
}

/// The rule's one key that is not a pattern; a rule without it does nothing and is a mistake.
template <class Enum, std::size_t N>
void read_action(NodeReader& rule, std::string_view name, Enum& out,
                 const std::pair<std::string_view, Enum> (&words)[N]) {
  bool there = false;
  rule.key(name, [&](const NodeReader& node) {
    there = true;
    node.choice(out, words);
  });
  if (!there) rule.problem("has no \"" + std::string{name} + "\"; expected one");
}

template <class Rule, class Read>
void read_rules(const NodeReader& list, std::vector<Rule>& out, Read read) {
  list.items([&](NodeReader node) {
    if (out.size() == kMaxRules) return node.problem("is one too many; expected at most 1000");
    Rule rule;
    read(node, rule);
    node.finish();
    out.push_back(std::move(rule));
  });
}

}  // namespace

void read_intercept_rules(const NodeReader& list, std::vector<InterceptRule>& out) {
  read_rules(list, out, [](NodeReader& node, InterceptRule& rule) {
    read_glob(node, "executable", rule.executable);
    read_glob(node, "namespace", rule.ns);
    read_glob(node, "pod", rule.pod);
    read_action(node, "action", rule.action, kInterceptActions);
  });
}

void read_cache_rules(const NodeReader& list, std::vector<CacheRule>& out) {
  read_rules(list, out, [](NodeReader& node, CacheRule& rule) {
    read_glob(node, "principal", rule.principal);
    read_glob(node, "namespace", rule.ns);
    read_glob(node, "executable", rule.executable);
    read_glob(node, "user_agent", rule.user_agent);
    read_glob(node, "resource", rule.resource);
    read_glob(node, "verb", rule.verb);
    read_action(node, "action", rule.action, kCacheActions);
  });
}

void read_lease_rules(const NodeReader& list, std::vector<LeaseRule>& out) {
  read_rules(list, out, [](NodeReader& node, LeaseRule& rule) {
    read_glob(node, "namespace", rule.ns);
    read_glob(node, "name", rule.name);
    read_glob(node, "holder", rule.holder);
    read_glob(node, "executable", rule.executable);
    read_glob(node, "pod", rule.pod);
    read_action(node, "policy", rule.policy, kLeasePolicies);
  });
}

std::string_view to_string(InterceptAction action) {
  return word_of(kInterceptActions, action);
}
std::string_view to_string(CacheAction action) {
  return word_of(kCacheActions, action);
}
std::string_view to_string(LeasePolicy policy) {
  return word_of(kLeasePolicies, policy);
}

}  // namespace holdfast::config
