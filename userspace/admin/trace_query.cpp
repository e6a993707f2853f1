#include "holdfast/admin/trace_query.h"

#include <algorithm>
#include <optional>

namespace holdfast::admin {
namespace {

using telemetry::TraceFilter;

std::string encode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '/';
    if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Error invalid(std::string message) {
  return make_error(Errc::kInvalidArgument, std::move(message));
}

}  // namespace

std::string to_target(const TraceFilter& filter) {
  std::string query;
  const auto add = [&](const char* key, std::string_view value) {
    if (value.empty()) return;
    query += query.empty() ? '?' : '&';
    query += std::string{key} + "=" + encode(value);
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
    auto value = decode(part.substr(std::min(key.size() + 1, part.size())));
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
