#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "holdfast/telemetry/time_text.h"
#include "holdfast/telemetry/trace_event.h"

namespace holdfast::telemetry {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::system_clock;

std::string to_rfc3339(system_clock::time_point time) {
  const auto us = std::chrono::floor<microseconds>(time).time_since_epoch().count();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  const std::time_t unix_time = seconds;
  std::tm parts{};
  gmtime_r(&unix_time, &parts);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<int>(us - seconds * 1'000'000));
  return text;
}

std::optional<system_clock::time_point> from_rfc3339(std::string_view text) {
  std::tm parts{};
  int us = 0, end = 0;
  const std::string copy{text};
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ%n", &parts.tm_year, &parts.tm_mon,
                  &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &us, &end) != 7 ||
      static_cast<std::size_t>(end) != copy.size()) {
    return std::nullopt;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return system_clock::from_time_t(timegm(&parts)) + microseconds{us};
}

namespace {

using Json = nlohmann::ordered_json;

// A name that a process gave itself may hold any bytes.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

double to_ms(microseconds us) {
  return static_cast<double>(us.count()) / 1e3;
}
Json to_ms(const std::optional<microseconds>& us) {
  return us ? Json(to_ms(*us)) : Json(nullptr);
}
Json to_text(const std::optional<Endpoint>& endpoint) {
  return endpoint ? Json(endpoint->to_string()) : Json(nullptr);
}

Json flow_json(const FlowEvent& e) {
  Json pod = nullptr;
  if (e.pod) pod = Json{{"namespace", e.pod->ns}, {"name", e.pod->name}, {"uid", e.pod->uid}};
  return Json{{"time", to_rfc3339(e.time)},
              {"kind", "flow"},
              {"verdict", to_string(e.verdict)},
              {"reason", e.reason},
              {"pid", e.pid},
              {"comm", e.comm},
              {"executable", e.executable},
              {"cgroup", e.cgroup},
              {"container", e.container},
              {"pod", std::move(pod)},
              {"original", to_text(e.original)},
              {"local", to_text(e.local)},
              {"established_ms", to_ms(e.established)},
              {"duration_ms", to_ms(e.duration)},
              {"bytes_sent", e.bytes_sent},
              {"bytes_received", e.bytes_received},
              {"srtt_us", e.srtt_us},
              {"retransmits", e.retransmits}};
}

Json request_json(const RequestEvent& e) {
  return Json{{"time", to_rfc3339(e.time)},
              {"kind", "request"},
              {"connection", e.connection},
              {"principal", e.principal},
              {"verb", e.verb},
              {"resource", e.resource},
              {"namespace", e.ns},
              {"name", e.name},
              {"code", e.code},
              {"source", to_string(e.source)},
              {"duration_ms", to_ms(e.duration)},
              {"bytes", e.bytes}};
}

template <class Enum>
Enum enum_of(const std::string& text, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (to_string(static_cast<Enum>(i)) == text) return static_cast<Enum>(i);
  }
  throw std::invalid_argument{"\"" + text + "\" is unknown"};
}

microseconds ms_of(const Json& json) {
  return microseconds{std::llround(json.get<double>() * 1e3)};
}
std::optional<microseconds> optional_ms_of(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return ms_of(json);
}
std::optional<Endpoint> endpoint_of(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return Endpoint::parse(json.get<std::string>()).value();
}
system_clock::time_point time_of(const Json& json) {
  const auto time = from_rfc3339(json.at("time").get<std::string>());
  if (!time) throw std::invalid_argument{"time is malformed"};
  return *time;
}

FlowEvent flow_of(const Json& json) {
  FlowEvent e;
  e.time = time_of(json);
  e.verdict = enum_of<Verdict>(json.at("verdict"), kVerdicts);
  e.reason = json.at("reason");
  e.pid = json.at("pid");
  e.comm = json.at("comm");
  e.executable = json.at("executable");
  e.cgroup = json.at("cgroup");
  e.container = json.at("container");
  if (const auto& pod = json.at("pod"); !pod.is_null()) {
    e.pod = PodRef{pod.at("namespace"), pod.at("name"), pod.at("uid")};
  }
  e.original = endpoint_of(json.at("original"));
  e.local = endpoint_of(json.at("local"));
  e.established = optional_ms_of(json.at("established_ms"));
  e.duration = optional_ms_of(json.at("duration_ms"));
  e.bytes_sent = json.at("bytes_sent");
  e.bytes_received = json.at("bytes_received");
  e.srtt_us = json.at("srtt_us");
  e.retransmits = json.at("retransmits");
  return e;
}

RequestEvent request_of(const Json& json) {
  RequestEvent e;
  e.time = time_of(json);
  e.connection = json.at("connection");
  e.principal = json.at("principal");
  e.verb = json.at("verb");
  e.resource = json.at("resource");
  e.ns = json.at("namespace");
  e.name = json.at("name");
  e.code = json.at("code");
  e.source = enum_of<Source>(json.at("source"), kSources);
  e.duration = ms_of(json.at("duration_ms"));
  e.bytes = json.at("bytes");
  return e;
}

}  // namespace

std::string to_json(const TraceEvent& event) {
  if (const auto* flow = std::get_if<FlowEvent>(&event)) return dump(flow_json(*flow));
  return dump(request_json(std::get<RequestEvent>(event)));
}

Result<TraceEvent> parse_trace_event(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    const std::string kind = json.at("kind");
    if (kind == "flow") return TraceEvent{flow_of(json)};
    if (kind == "request") return TraceEvent{request_of(json)};
    return make_error(Errc::kInvalidArgument, "\"" + kind + "\" is not an event's kind");
  } catch (const std::exception& e) {
    return make_error(Errc::kInvalidArgument, e.what());
  }
}

}  // namespace holdfast::telemetry
