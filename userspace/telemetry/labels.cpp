#include "holdfast/telemetry/labels.h"

#include <algorithm>
#include <array>

#include "telemetry/cells.h"

namespace holdfast::telemetry {
namespace {

template <std::size_t N, class Enum>
std::string_view pick(const std::array<std::string_view, N>& names, Enum value) {
  const auto index = static_cast<std::size_t>(value);
  return index < N ? names[index] : "other";
}

constexpr std::array<std::string_view, kSources> kSourceNames{"upstream", "cache", "lease", "local",
                                                              "tunnel"};
constexpr std::array<std::string_view, kVerdicts> kVerdictNames{"redirected", "spliced", "direct"};
constexpr std::array<std::string_view, kConnectionReasons> kReasonNames{"none",
                                                                        "heartbeat_stale",
                                                                        "own_traffic",
                                                                        "netns_denied",
                                                                        "netns_isolated",
                                                                        "circuit_open",
                                                                        "rule_bypass",
                                                                        "no_listener",
                                                                        "record_failed",
                                                                        "rule_splice",
                                                                        "other_name",
                                                                        "not_tls",
                                                                        "handshake_failed",
                                                                        "unknown_certificate",
                                                                        "no_certificate",
                                                                        "chain_mismatch",
                                                                        "netns_unjudged",
                                                                        "limit",
                                                                        "other"};
constexpr std::array<std::string_view, kCacheResults> kCacheResultNames{"hit", "derived", "miss",
                                                                        "denied"};
constexpr std::array<std::string_view, kLinkStates> kLinkNames{"online", "suspect", "offline"};
constexpr std::array<std::string_view, kWatchStates> kWatchNames{"live", "held"};
constexpr std::array<std::string_view, kResumeHows> kResumeNames{"resume", "relist"};
constexpr std::array<std::string_view, kLeasePolicies> kPolicyNames{"forward", "hold", "coalesce",
                                                                    "local"};
constexpr std::array<std::string_view, kLeaseOutcomes> kOutcomeNames{"forwarded", "acknowledged",
                                                                     "conflict", "refused"};
constexpr std::array<std::string_view, kDirections> kDirectionNames{"sent", "received"};

// The resources of Kubernetes' own APIs (v1.37) and of K3s, sorted. Custom resources are `other`:
// who may create a CRD could otherwise grow the series.
constexpr std::array<std::string_view, 67> kResources{
    "addons",
    "apiservices",
    "bindings",
    "certificatesigningrequests",
    "clusterrolebindings",
    "clusterroles",
    "clustertrustbundles",
    "componentstatuses",
    "configmaps",
    "controllerrevisions",
    "cronjobs",
    "csidrivers",
    "csinodes",
    "csistoragecapacities",
    "customresourcedefinitions",
    "daemonsets",
    "deployments",
    "deviceclasses",
    "endpoints",
    "endpointslices",
    "etcdsnapshotfiles",
    "events",
    "flowschemas",
    "helmchartconfigs",
    "helmcharts",
    "horizontalpodautoscalers",
    "ingressclasses",
    "ingresses",
    "ipaddresses",
    "jobs",
    "leases",
    "limitranges",
    "localsubjectaccessreviews",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "mutatingwebhookconfigurations",
    "namespaces",
    "networkpolicies",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "poddisruptionbudgets",
    "pods",
    "podtemplates",
    "priorityclasses",
    "prioritylevelconfigurations",
    "replicasets",
    "replicationcontrollers",
    "resourceclaims",
    "resourceclaimtemplates",
    "resourcequotas",
    "resourceslices",
    "rolebindings",
    "roles",
    "runtimeclasses",
    "secrets",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "selfsubjectrulesreviews",
    "serviceaccounts",
    "servicecidrs",
    "services",
    "statefulsets",
    "storageclasses",
    "subjectaccessreviews",
    "tokenreviews",
    "volumeattachments",
};
static_assert(std::is_sorted(kResources.begin(), kResources.end()));
static_assert(kResources.size() + 2 <= kResourceSlots);

}  // namespace

std::string_view to_string(Source value) {
  return pick(kSourceNames, value);
}
std::string_view to_string(Verdict value) {
  return pick(kVerdictNames, value);
}
std::string_view to_string(ConnectionReason value) {
  return pick(kReasonNames, value);
}
std::string_view to_string(CacheResult value) {
  return pick(kCacheResultNames, value);
}
std::string_view to_string(LinkState value) {
  return pick(kLinkNames, value);
}
std::string_view to_string(WatchState value) {
  return pick(kWatchNames, value);
}
std::string_view to_string(ResumeHow value) {
  return pick(kResumeNames, value);
}
std::string_view to_string(LeasePolicy value) {
  return pick(kPolicyNames, value);
}
std::string_view to_string(LeaseOutcome value) {
  return pick(kOutcomeNames, value);
}
std::string_view to_string(Direction value) {
  return pick(kDirectionNames, value);
}

std::size_t resource_slot(std::string_view resource) noexcept {
  if (resource.empty()) return 1;
  const auto it = std::lower_bound(kResources.begin(), kResources.end(), resource);
  if (it == kResources.end() || *it != resource) return 0;
  return static_cast<std::size_t>(it - kResources.begin()) + 2;
}

std::string_view resource_of(std::size_t slot) noexcept {
  if (slot == 1) return "none";
  const auto index = slot - 2;  // slot 0 wraps around, and is "other" then
  return index < kResources.size() ? kResources[index] : "other";
}

std::string_view resource_label(std::string_view resource) {
  return resource_of(resource_slot(resource));
}

std::size_t code_slot(int code) noexcept {
  const auto it = std::lower_bound(kCodes.begin(), kCodes.end(), code);
  if (it == kCodes.end() || *it != code) return kCodes.size();
  return static_cast<std::size_t>(it - kCodes.begin());
}

}  // namespace holdfast::telemetry
