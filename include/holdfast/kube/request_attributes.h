#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"
#include "holdfast/kube/media_type.h"

namespace holdfast::kube {

enum class Verb : std::uint8_t {
  kGet,
  kList,
  kWatch,
  kCreate,
  kUpdate,
  kPatch,
  kDelete,
  kDeleteCollection,
  kConnect,
  kProxy,
  kOther,
};
std::string_view to_string(Verb verb);  ///< as RBAC spells it: "get", "deletecollection", …

/// Group, version and resource of a request, e.g. {"apps", "v1", "deployments"}.
struct GroupVersionResource {
  std::string group, version, resource;
  auto operator<=>(const GroupVersionResource&) const = default;
};

enum class ResourceVersionMatch : std::uint8_t { kUnset, kNotOlderThan, kExact };

/// The options of metav1.ListOptions that decide what an answer is.
struct ListOptions {
  std::string label_selector;  ///< decoded, not yet parsed
  std::string field_selector;
  std::string resource_version;  ///< "" means the most recent
  ResourceVersionMatch match = ResourceVersionMatch::kUnset;
  std::uint64_t limit = 0;
  std::string continue_token;
  bool watch = false;
  bool allow_watch_bookmarks = false;
  bool send_initial_events = false;
  std::optional<std::uint32_t> timeout_seconds;
  /// Something else that may decide what the answer is (a newer API server's, an aggregated one's):
  /// such an answer is not remembered, nor shared.
  bool unknown = false;
};

/// What a request asks of the API server, as Kubernetes' own RequestInfo says it
/// (k8s.io/apiserver/pkg/endpoints/request/requestinfo.go).
struct RequestAttributes {
  bool resource_request = false;  ///< else a plain path: /healthz, /apis, /openapi/v3 …
  std::string path;               ///< without the query
  Verb verb = Verb::kOther;       ///< for plain paths: get for GET and HEAD, kOther else
  GroupVersionResource gvr;
  std::string subresource;
  std::string ns;    ///< empty: cluster-scoped or all namespaces
  std::string name;  ///< also from `fieldSelector=metadata.name=x`, as RequestInfo does for lists
                     ///< and watches
  bool name_from_selector = false;
  ListOptions options;
  bool dry_run = false;
  bool pretty = false;        ///< ?pretty=true…
  std::string impersonation;  ///< canonical text of Impersonate-* headers; empty: none

  /// A GET, LIST or WATCH whose answer may be remembered: a resource without a subresource other
  /// than status and scale, not a review, not a Lease election's business.
  [[nodiscard]] bool is_read() const;
};

/// Parses method and target. kInvalidArgument where the API server answers a 400: a malformed path,
/// and for lists and watches options or selectors that can't be parsed. Query pairs with a bad
/// escape are dropped, as the API server does.
Result<RequestAttributes> parse_request(std::string_view method, std::string_view target);

}  // namespace holdfast::kube
