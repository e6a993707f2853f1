#include "holdfast/kube/request_attributes.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <vector>

#include "holdfast/kube/selector.h"
#include "kube/url.h"

namespace holdfast::kube {
namespace {

using Parts = std::vector<std::string_view>;

/// requestinfo.go splitPath: outer slashes don't count, inner empty segments do.
Parts split_path(std::string_view path) {
  while (!path.empty() && path.front() == '/') path.remove_prefix(1);
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  Parts parts;
  if (path.empty()) return parts;
  for (;;) {
    const auto slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return parts;
    path.remove_prefix(slash + 1);
  }
}

Verb verb_of_method(std::string_view method) {
  if (method == "GET" || method == "HEAD") return Verb::kGet;
  if (method == "POST") return Verb::kCreate;
  if (method == "PUT") return Verb::kUpdate;
  if (method == "PATCH") return Verb::kPatch;
  if (method == "DELETE") return Verb::kDelete;
  return Verb::kOther;
}

/// content.IsPathSegmentName
bool can_be_path_segment(std::string_view name) {
  return name != "." && name != ".." && name.find_first_of("/%") == std::string_view::npos;
}

Result<std::int64_t> query_int(const Query& query, std::string_view key) {
  const auto* text = query.find(key);
  if (!text) return 0;
  std::int64_t value = 0;
  const char* first = text->data();
  const char* last = first + text->size();
  // strconv.ParseInt takes a plus sign, from_chars does not.
  if (last - first > 1 && first[0] == '+' && first[1] != '-') ++first;
  const auto [end, error] = std::from_chars(first, last, value);
  if (error != std::errc{} || end != last)
    return make_error(Errc::kInvalidArgument, std::string{key} + " is not an integer");
  return value;
}

Result<ResourceVersionMatch> query_match(const Query& query) {
  const auto text = query.get("resourceVersionMatch");
  if (text.empty()) return ResourceVersionMatch::kUnset;
  if (text == "NotOlderThan") return ResourceVersionMatch::kNotOlderThan;
  if (text == "Exact") return ResourceVersionMatch::kExact;
  return make_error(Errc::kInvalidArgument, "resourceVersionMatch must be NotOlderThan or Exact");
}

/// ListOptions, GetOptions and TableOptions (k8s.io/apimachinery/pkg/apis/meta/v1/types.go), and
/// what changes no more than layout and patience.
constexpr std::array<std::string_view, 13> kKnownOptions{"allowWatchBookmarks",
                                                         "continue",
                                                         "fieldSelector",
                                                         "includeObject",
                                                         "labelSelector",
                                                         "limit",
                                                         "pretty",
                                                         "resourceVersion",
                                                         "resourceVersionMatch",
                                                         "sendInitialEvents",
                                                         "timeout",
                                                         "timeoutSeconds",
                                                         "watch"};

Result<void> read_options(const Query& query, ListOptions& out) {
  out.label_selector = query.get("labelSelector");
  out.field_selector = query.get("fieldSelector");
  out.resource_version = query.get("resourceVersion");
  out.continue_token = query.get("continue");
  out.watch = query_bool(query.find("watch"));
  out.allow_watch_bookmarks = query_bool(query.find("allowWatchBookmarks"));
  out.send_initial_events = query_bool(query.find("sendInitialEvents"));
  const auto match = query_match(query);
  if (!match) return match.error();
  out.match = *match;
  const auto limit = query_int(query, "limit");
  if (!limit) return limit.error();
  out.limit = *limit > 0 ? static_cast<std::uint64_t>(*limit) : 0;
  const auto timeout = query_int(query, "timeoutSeconds");
  if (!timeout) return timeout.error();
  // handleWatch: zero stands for the server's own choice, below zero ends the watch at once.
  constexpr std::int64_t kMax = std::numeric_limits<std::uint32_t>::max();
  if (*timeout != 0)
    out.timeout_seconds = static_cast<std::uint32_t>(std::clamp<std::int64_t>(*timeout, 1, kMax));
  return {};
}

/// What the API server decodes and refuses with a 400 before it lists or watches.
Result<FieldSelector> check_selectors(const ListOptions& options) {
  if (auto labels = LabelSelector::parse(options.label_selector); !labels) return labels.error();
  return FieldSelector::parse(options.field_selector);
}

/// The part of RequestInfo that reads the path. `by_prefix`: /api/v1/watch/… and /api/v1/proxy/….
Result<void> read_resource_path(Parts parts, std::string_view method, RequestAttributes& out,
                                bool& by_prefix) {
  if (parts.size() < 3 || (parts[0] != "api" && parts[0] != "apis")) return {};
  std::size_t at = 1;
  if (parts[0] == "apis") {
    if (parts.size() < 4) return {};
    out.gvr.group = parts[at++];
  }
  out.resource_request = true;
  out.gvr.version = parts[at++];
  out.verb = verb_of_method(method);
  by_prefix = parts[at] == "watch" || parts[at] == "proxy";
  if (by_prefix) {
    if (parts.size() - at < 2)
      return make_error(Errc::kInvalidArgument,
                        "no resource in the path after " + std::string{parts[at]});
    out.verb = parts[at++] == "watch" ? Verb::kWatch : Verb::kProxy;
  }
  parts.erase(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(at));
  if (parts[0] == "namespaces" && parts.size() > 1) {
    out.ns = parts[1];
    // A namespace's own subresources, else a resource inside the namespace.
    if (parts.size() > 2 && parts[2] != "status" && parts[2] != "finalize")
      parts.erase(parts.begin(), parts.begin() + 2);
  }
  out.gvr.resource = parts[0];
  if (parts.size() >= 2) out.name = parts[1];
  if (parts.size() >= 3 && out.verb != Verb::kProxy) out.subresource = parts[2];
  return {};
}

bool is_true(std::string_view text) {  // strconv.ParseBool
  static constexpr std::array<std::string_view, 6> kTrue{"1", "t", "T", "true", "TRUE", "True"};
  return std::find(kTrue.begin(), kTrue.end(), text) != kTrue.end();
}

}  // namespace

std::string_view to_string(Verb verb) {
  switch (verb) {
    case Verb::kGet:
      return "get";
    case Verb::kList:
      return "list";
    case Verb::kWatch:
      return "watch";
    case Verb::kCreate:
      return "create";
    case Verb::kUpdate:
      return "update";
    case Verb::kPatch:
      return "patch";
    case Verb::kDelete:
      return "delete";
    case Verb::kDeleteCollection:
      return "deletecollection";
    case Verb::kConnect:
      return "connect";
    case Verb::kProxy:
      return "proxy";
    case Verb::kOther:
      break;
  }
  return "other";
}

bool RequestAttributes::is_read() const {
  if (!resource_request) return false;
  if (verb != Verb::kGet && verb != Verb::kList && verb != Verb::kWatch) return false;
  if (!subresource.empty() && subresource != "status" && subresource != "scale") return false;
  return gvr.group != "coordination.k8s.io" && gvr.group != "authentication.k8s.io" &&
         gvr.group != "authorization.k8s.io";
}

Result<RequestAttributes> parse_request(std::string_view method, std::string_view target) {
  const auto control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };  // net/url.parse
  if (std::any_of(target.begin(), target.end(), control))
    return make_error(Errc::kInvalidArgument, "control character in the request target");
  const auto question = std::min(target.find('?'), target.size());
  auto path = decode_path(target.substr(0, question));
  if (!path) return path.error();

  RequestAttributes out;
  out.path = std::move(*path);
  if (method == "GET" || method == "HEAD") out.verb = Verb::kGet;
  bool by_prefix = false;
  const auto parts = split_path(out.path);
  if (auto read = read_resource_path(parts, method, out, by_prefix); !read) return read.error();
  if (question == target.size() && !out.resource_request) return out;

  const Query query{target.substr(std::min(question + 1, target.size()))};
  out.pretty = is_true(query.get("pretty"));
  if (!out.resource_request) return out;
  out.dry_run = !query.get("dryRun").empty();
  const bool reads = method == "GET" || method == "HEAD";
  out.options.unknown = reads && query.has_other_than(kKnownOptions);

  const bool get_of_many = out.verb == Verb::kGet && out.name.empty();
  if (out.verb == Verb::kDelete && out.name.empty()) out.verb = Verb::kDeleteCollection;
  if (!get_of_many && out.verb != Verb::kWatch && out.verb != Verb::kDeleteCollection) {
    out.options.resource_version = query.get("resourceVersion");  // metav1.GetOptions
    return out;
  }
  if (auto read = read_options(query, out.options); !read) return read.error();
  const auto fields = check_selectors(out.options);
  if (!fields) return fields.error();
  if (by_prefix) out.options.watch = true;
  if (get_of_many) {
    out.verb = out.options.watch ? Verb::kWatch : Verb::kList;
    const auto name = fields->required_name();
    if (!name.empty() && can_be_path_segment(name)) {
      out.name = name;
      out.name_from_selector = true;
    }
  }
  return out;
}

}  // namespace holdfast::kube
