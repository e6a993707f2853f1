#include "admin/routes.h"

#include <algorithm>
#include <exception>

#include "holdfast/admin/trace_query.h"

namespace holdfast::admin {
namespace {

constexpr const char* kPlain = "text/plain; charset=utf-8";

Answer readiness(Source& source) {
  const auto ready = source.ready();
  if (ready.ready) return {200, kPlain, "ok\n"};
  std::string body = "not ready\n";
  for (const auto& reason : ready.reasons) body += reason + "\n";
  return {503, kPlain, body};
}

Answer route_path(Channel channel, std::string_view method, std::string_view path,
                  std::string_view query, Source& source) {
  if (method == "POST" && !(channel == Channel::kUnix && path.starts_with("/v1/cache/"))) {
    return {405, kPlain, "only GET and HEAD\n"};
  }
  if (path == "/") return {200, "text/html; charset=utf-8", to_html(source.status())};
  if (path == "/metrics") {
    return {200, "text/plain; version=0.0.4; charset=utf-8", source.metrics()};
  }
  if (path == "/healthz") return {200, kPlain, "ok\n"};
  if (path == "/readyz") return readiness(source);
  if (channel == Channel::kUnix && path == "/v1/status") {
    return {200, "application/json", to_json(source.status())};
  }
  constexpr std::string_view kCache = "/v1/cache/";
  if (channel == Channel::kUnix && path.starts_with(kCache)) {
    const auto asked = parse_cache_query(path.substr(kCache.size()), query);
    if (!asked) return {400, kPlain, asked.error().message + "\n"};
    if ((asked->what == CacheQuery::What::kRemove) != (method == "POST")) {
      return {405, kPlain, "rm is a POST, all else a GET\n"};
    }
    auto reply = source.cache(*asked);
    return {reply.code, reply.code == 200 ? "application/json" : kPlain, std::move(reply.body)};
  }
  if (channel == Channel::kUnix && path == "/v1/trace") {
    if (const auto filter = parse_trace_query(query); !filter) {
      return {400, kPlain, filter.error().message + "\n"};
    }
    return {200, "application/x-ndjson", "", true, std::string{query}};
  }
  return {404, kPlain, "no such page\n"};
}

}  // namespace

Answer route(Channel channel, std::string_view method, std::string_view target, Source& source) {
  if (method != "GET" && method != "HEAD" && method != "POST") {
    return {405, kPlain, "only GET and HEAD\n"};
  }
  const auto question = std::min(target.find('?'), target.size());
  const auto query = target.substr(std::min(question + 1, target.size()));
  try {
    return route_path(channel, method, target.substr(0, question), query, source);
  } catch (const std::exception& e) {
    return {500, kPlain, std::string{e.what()} + "\n"};
  }
}

bool is_local_host_header(std::string_view host) {
  if (host.empty()) return true;  // HTTP/1.0
  if (host == "localhost" || host.starts_with("localhost:")) return true;
  if (host.starts_with('[')) {
    const auto close = host.find(']');
    return close != std::string_view::npos &&
           Endpoint::from_address(host.substr(1, close - 1), 1).has_value();
  }
  return Endpoint::from_address(host.substr(0, host.find(':')), 1).has_value();
}

}  // namespace holdfast::admin
