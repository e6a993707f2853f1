#include "holdfast/policy/decision.h"

namespace holdfast::policy {

std::string_view to_string(Action action) {
  switch (action) {
    case Action::kForward:
      return "forward";
    case Action::kCache:
      return "cache";
    case Action::kMemory:
      return "memory";
    case Action::kLocal:
      return "local";
    case Action::kLease:
      return "lease";
    case Action::kTunnel:
      return "tunnel";
    case Action::kDeny:
      return "deny";
  }
  return "?";
}

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::kDefault:
      return "default";
    case Reason::kRule:
      return "rule";
    case Reason::kDocument:
      return "document";
    case Reason::kUpgrade:
      return "upgrade";
    case Reason::kLease:
      return "lease";
    case Reason::kSecret:
      return "secret";
    case Reason::kWrite:
      return "write";
    case Reason::kToken:
      return "token";
    case Reason::kReview:
      return "review";
    case Reason::kSubresource:
      return "subresource";
    case Reason::kHealthOrMetrics:
      return "health_or_metrics";
    case Reason::kNotCacheable:
      return "not_cacheable";
  }
  return "?";
}

}  // namespace holdfast::policy
