#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"

namespace holdfast::config {

// All patterns are globs (policy/glob.h); an absent one is "*", which also matches what is unknown
// or empty. The first rule whose patterns all match wins.

enum class InterceptAction : std::uint8_t { kRedirect, kBypass, kSplice };
struct InterceptRule {
  std::string executable = "*";  ///< path, the target of /proc/PID/exe
  std::string ns = "*";          ///< of the pod
  std::string pod = "*";
  InterceptAction action = InterceptAction::kRedirect;
  bool operator==(const InterceptRule&) const = default;
};

enum class CacheAction : std::uint8_t { kCache, kBypass, kMemory };
struct CacheRule {
  std::string principal = "*";   ///< user name
  std::string ns = "*";          ///< of the objects
  std::string executable = "*";  ///< path
  std::string user_agent = "*";  ///< without regard to case
  std::string resource = "*";    ///< "pods", "deployments" or "deployments.apps", "pods/status"
  std::string verb = "*";        ///< get, list, watch
  CacheAction action = CacheAction::kCache;
  bool operator==(const CacheRule&) const = default;
};

enum class LeasePolicy : std::uint8_t { kAuto, kForward, kHold, kCoalesce, kLocal };
struct LeaseRule {
  std::string ns = "*";
  std::string name = "*";
  std::string holder = "*";
  std::string executable = "*";
  std::string pod = "*";
  LeasePolicy policy = LeasePolicy::kAuto;
  bool operator==(const LeaseRule&) const = default;
};

/// As the configuration file spells them.
std::string_view to_string(InterceptAction action);
std::string_view to_string(CacheAction action);
std::string_view to_string(LeasePolicy policy);

/// OpenYurt's `cache_agents` (yurt-hub-cfg): "*" or comma-separated agent names, an agent's name
/// being the part of its User-Agent before the slash, in lower case. A list means what it means
/// there: these agents, OpenYurt's own defaults and node components are cached, others are not.
/// Empty text gives no rules. kInvalidArgument names the part that is not an agent's name.
Result<std::vector<CacheRule>> parse_cache_agents(std::string_view text);

}  // namespace holdfast::config
