#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "holdfast/config/config.h"
#include "holdfast/kube/request_attributes.h"

namespace holdfast::policy {

/// What is done with a request.
enum class Action : std::uint8_t {
  kForward,  ///< to the API server; nothing is remembered, nothing answered offline
  kCache,    ///< to the API server; the answer is remembered and may be given offline
  kMemory,   ///< as kCache, but never written to disk
  kLocal,    ///< answered by the agent itself
  kLease,    ///< a Lease: lease.policy decides; where nothing else is said, as kForward
  kTunnel,   ///< an Upgrade, over an HTTP/1.1 connection of its own
  kDeny,     ///< 403
};

/// Why.
enum class Reason : std::uint8_t {
  kDefault,          ///< a read that no rule speaks of: cached
  kRule,             ///< cache.rules[rule]
  kDocument,         ///< discovery, OpenAPI, /version
  kUpgrade,          ///< Connection: Upgrade
  kLease,            ///< coordination.k8s.io leases
  kSecret,           ///< Secrets of others than node components stay in memory
  kWrite,            ///< changes something
  kToken,            ///< a kubelet's serviceaccounts/token: replayed to it while the link is down
  kReview,           ///< tokenreviews, subjectaccessreviews, …: an answer for now only
  kSubresource,      ///< other than status and scale
  kHealthOrMetrics,  ///< /healthz, /livez, /readyz, /metrics …
  kNotCacheable,     ///< any other path, verb or option
};

struct Decision {
  Action action = Action::kForward;
  Reason reason = Reason::kNotCacheable;
  int rule = -1;  ///< index into cache.rules for kRule
  bool operator==(const Decision&) const = default;
};

/// What is known of the client. Empty: unknown. Views need to live for the call only.
struct RequestContext {
  std::string_view username;    ///< of the principal; "" when not (yet) known
  bool node_component = false;  ///< Principal::is_node_component()
  std::string_view executable;  ///< path
  std::string_view user_agent;
  std::string_view pod_namespace, pod;
  bool upgrade = false;     ///< the request asks for another protocol
  bool key_sealed = false;  ///< what is on disk opens on this machine only (cache::KeyPlace::kTpm)
};

/// A create of `serviceaccounts/token` that counts (no dryRun): what a kubelet asks for its pods.
bool is_token_request(const kube::RequestAttributes& request);

/// Whether any answer to such a request may be on disk.
bool may_keep_tokens(const config::Config& config, bool key_sealed);

/// Pure; the same answer for the same arguments. Costs a glob or six per rule.
Decision decide(const kube::RequestAttributes& request, const RequestContext& context,
                const config::Config& config);

/// What is known of the process that connects.
struct ProcessContext {
  std::string_view executable;  ///< path
  std::string_view pod_namespace, pod;
};
/// The first rule that matches, else kRedirect.
config::InterceptAction intercept_action(const ProcessContext& process,
                                         const std::vector<config::InterceptRule>& rules);

std::string_view to_string(Action action);
std::string_view to_string(Reason reason);

}  // namespace holdfast::policy
