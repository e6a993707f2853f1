#include "holdfast/admin/trace_query.h"

#include <algorithm>

#include "holdfast/base/percent.h"

namespace holdfast::admin {
namespace {

using telemetry::TraceFilter;

Error invalid(std::string message) {
  return make_error(Errc::kInvalidArgument, std::move(message));
}

}  // namespace

std::string to_target(const TraceFilter& filter) {
  std::string query;
  const auto add = [&](const char* key, std::string_view value) {
    if (value.empty()) return;
    query += query.empty() ? '?' : '&';
    query += std::string{key} + "=" + percent_encode(value);
  };
  if (filter.kind != TraceFilter::Kind::kAll) {
    add("kind", filter.kind == TraceFilter::Kind::kFlow ? "flow" : "request");
  }
  add("pod", filter.pod);
  add("namespace", filter.ns);
  add("process", filter.process);
  add("verdict", filter.verdict);
  return "/v1/trace" + query;
}

Result<TraceFilter> parse_trace_query(std::string_view query) {
  TraceFilter filter;
  while (!query.empty()) {
    const auto part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(part.size() + 1, query.size()));
    if (part.empty()) continue;
    const auto key = part.substr(0, part.find('='));
    auto value = percent_decode(part.substr(std::min(key.size() + 1, part.size())), true);
    if (!value) return invalid("the query is malformed");
    if (key == "kind") {
      if (*value == "flow") {
        filter.kind = TraceFilter::Kind::kFlow;
      } else if (*value == "request") {
        filter.kind = TraceFilter::Kind::kRequest;
      } else {
        return invalid("kind is unknown; expected flow or request");
      }
    } else if (key == "pod") {
      filter.pod = std::move(*value);
    } else if (key == "namespace") {
      filter.ns = std::move(*value);
    } else if (key == "process") {
      filter.process = std::move(*value);
    } else if (key == "verdict") {
      filter.verdict = std::move(*value);
    } else {
      return invalid(
          "the query has an unknown key; expected kind, pod, namespace, process, verdict");
    }
  }
  return filter;
}

}  // namespace holdfast::admin
