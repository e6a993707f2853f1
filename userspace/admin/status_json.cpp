#include <nlohmann/json.hpp>
#include <stdexcept>

#include "holdfast/admin/status.h"
#include "holdfast/telemetry/time_text.h"

namespace holdfast::admin {
namespace {

using Json = nlohmann::ordered_json;
using telemetry::from_rfc3339;
using telemetry::to_rfc3339;

Json time_json(const std::optional<Status::Time>& time) {
  return time ? Json(to_rfc3339(*time)) : Json(nullptr);
}
std::optional<Status::Time> time_of(const Json& json) {
  if (json.is_null()) return std::nullopt;
  const auto time = from_rfc3339(json.get<std::string>());
  if (!time) throw std::invalid_argument{"a time is malformed"};
  return time;
}

/// {"name": number, …} over an enum's values, and back.
template <class Enum, class Numbers>
Json by_label(const Numbers& numbers) {
  Json out = Json::object();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    out[std::string{telemetry::to_string(static_cast<Enum>(i))}] = numbers[i];
  }
  return out;
}
template <class Enum, class Numbers>
void read_by_label(const Json& json, Numbers& numbers) {
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = json.at(std::string{telemetry::to_string(static_cast<Enum>(i))});
  }
}

Json link_json(const Status::Link& link) {
  Json servers = Json::array();
  for (const auto& server : link.servers) {
    servers.push_back({{"address", server.address},
                       {"healthy", server.healthy},
                       {"rtt_us", server.rtt ? Json(server.rtt->count()) : Json(nullptr)}});
  }
  return {{"state", telemetry::to_string(link.state)},
          {"since", time_json(link.since)},
          {"last_online", time_json(link.last_online)},
          {"servers", std::move(servers)}};
}

Status::Link link_of(const Json& json) {
  Status::Link link;
  const std::string state = json.at("state");
  for (std::size_t i = 0; i < telemetry::kLinkStates; ++i) {
    const auto candidate = static_cast<telemetry::LinkState>(i);
    if (telemetry::to_string(candidate) == state) link.state = candidate;
  }
  link.since = time_of(json.at("since"));
  link.last_online = time_of(json.at("last_online"));
  for (const auto& item : json.at("servers")) {
    Status::Server server{.address = item.at("address"), .healthy = item.at("healthy"), .rtt = {}};
    if (const auto& rtt = item.at("rtt_us"); !rtt.is_null()) {
      server.rtt = std::chrono::microseconds{rtt.get<std::int64_t>()};
    }
    link.servers.push_back(std::move(server));
  }
  return link;
}

Json intercept_json(const Status::Intercept& in) {
  return {{"enabled", in.enabled},
          {"off_reason", in.off_reason},
          {"attached", in.attached},
          {"targets", in.targets},
          {"certificate", in.certificate},
          {"listen", in.listen},
          {"circuits_open", in.circuits_open},
          {"flow_events_lost", in.flow_events_lost},
          {"heartbeat_age_ms", in.heartbeat_age ? Json(in.heartbeat_age->count()) : Json(nullptr)}};
}

Status::Intercept intercept_of(const Json& json) {
  Status::Intercept in;
  in.enabled = json.at("enabled");
  in.off_reason = json.at("off_reason");
  in.attached = json.at("attached");
  in.targets = json.at("targets").get<std::vector<std::string>>();
  in.certificate = json.at("certificate");
  in.listen = json.at("listen").get<std::vector<std::string>>();
  in.circuits_open = json.at("circuits_open");
  in.flow_events_lost = json.at("flow_events_lost");
  if (const auto& age = json.at("heartbeat_age_ms"); !age.is_null()) {
    in.heartbeat_age = std::chrono::milliseconds{age.get<std::int64_t>()};
  }
  return in;
}

Json spliced_json(const std::vector<Status::Spliced>& spliced) {
  Json out = Json::array();
  for (const auto& client : spliced) {
    out.push_back({{"executable", client.executable},
                   {"workload", client.workload},
                   {"target", client.target},
                   {"reason", client.reason},
                   {"certificate", client.certificate},
                   {"until", to_rfc3339(client.until)}});
  }
  return out;
}

std::vector<Status::Spliced> spliced_of(const Json& json) {
  std::vector<Status::Spliced> out;
  for (const auto& item : json) {
    out.push_back({.executable = item.at("executable"),
                   .workload = item.at("workload"),
                   .target = item.at("target"),
                   .reason = item.at("reason"),
                   .certificate = item.at("certificate"),
                   .until = time_of(item.at("until")).value()});
  }
  return out;
}

Json cache_json(const Status::Cache& cache) {
  return {{"bytes", cache.bytes},
          {"budget_bytes", cache.budget_bytes},
          {"objects", cache.objects},
          {"collections", cache.collections},
          {"evictions", cache.evictions},
          {"write_queue_bytes", cache.write_queue_bytes},
          {"reads", by_label<telemetry::CacheResult>(cache.reads)},
          {"write_errors", cache.write_errors},
          {"problem", cache.problem},
          {"key", cache.key}};
}

Status::Cache cache_of(const Json& json) {
  Status::Cache cache;
  cache.bytes = json.at("bytes");
  cache.budget_bytes = json.at("budget_bytes");
  cache.objects = json.at("objects");
  cache.collections = json.at("collections");
  cache.evictions = json.at("evictions");
  cache.write_queue_bytes = json.at("write_queue_bytes");
  read_by_label<telemetry::CacheResult>(json.at("reads"), cache.reads);
  cache.write_errors = json.value("write_errors", std::uint64_t{0});
  cache.problem = json.value("problem", std::string{});
  cache.key = json.value("key", std::string{});
  return cache;
}

Json evictions_json(const std::optional<std::vector<Status::Eviction>>& evictions) {
  if (!evictions) return nullptr;
  Json out = Json::array();
  for (const auto& eviction : *evictions) {
    out.push_back({{"namespace", eviction.ns},
                   {"name", eviction.pod},
                   {"after_seconds", eviction.after.count()}});
  }
  return out;
}

std::optional<std::vector<Status::Eviction>> evictions_of(const Json& json) {
  if (json.is_null()) return std::nullopt;
  std::vector<Status::Eviction> out;
  for (const auto& item : json) {
    out.push_back({.ns = item.at("namespace"),
                   .pod = item.at("name"),
                   .after = std::chrono::seconds{item.at("after_seconds").get<std::int64_t>()}});
  }
  return out;
}

}  // namespace

std::string to_json(const Status& s) {
  const Json json{
      {"version", s.version},
      {"commit", s.commit},
      {"node", s.node},
      {"distribution", s.distribution},
      {"role", s.role},
      {"distribution_reason", s.distribution_reason},
      {"time", to_rfc3339(s.now)},
      {"started", to_rfc3339(s.started)},
      {"ready", s.readiness.ready},
      {"not_ready_reasons", s.readiness.reasons},
      {"link", link_json(s.link)},
      {"intercept", intercept_json(s.intercept)},
      {"connections",
       {{"open", by_label<telemetry::Verdict>(s.connections.open)},
        {"total", by_label<telemetry::Verdict>(s.connections.total)}}},
      {"spliced", spliced_json(s.spliced)},
      {"requests", by_label<telemetry::Source>(s.requests)},
      {"cache", cache_json(s.cache)},
      {"evictions", evictions_json(s.evictions)},
      {"config",
       {{"path", s.config_path}, {"error", s.config_error}, {"restart_needed", s.restart_needed}}}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Status> parse_status(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    Status s;
    s.version = json.at("version");
    s.commit = json.at("commit");
    s.node = json.at("node");
    s.distribution = json.at("distribution");
    s.role = json.at("role");
    s.distribution_reason = json.at("distribution_reason");
    s.now = time_of(json.at("time")).value();
    s.started = time_of(json.at("started")).value();
    s.readiness.ready = json.at("ready");
    s.readiness.reasons = json.at("not_ready_reasons").get<std::vector<std::string>>();
    s.link = link_of(json.at("link"));
    s.intercept = intercept_of(json.at("intercept"));
    read_by_label<telemetry::Verdict>(json.at("connections").at("open"), s.connections.open);
    read_by_label<telemetry::Verdict>(json.at("connections").at("total"), s.connections.total);
    s.spliced = spliced_of(json.at("spliced"));
    read_by_label<telemetry::Source>(json.at("requests"), s.requests);
    s.cache = cache_of(json.at("cache"));
    s.evictions = evictions_of(json.at("evictions"));
    s.config_path = json.at("config").at("path");
    s.config_error = json.at("config").at("error");
    s.restart_needed = json.at("config").at("restart_needed").get<std::vector<std::string>>();
    return s;
  } catch (const std::exception& e) {
    return make_error(Errc::kInvalidArgument, e.what());
  }
}

}  // namespace holdfast::admin
