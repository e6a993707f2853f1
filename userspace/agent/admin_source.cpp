#include "agent/admin_source.h"

#include "agent/cache_admin.h"
#include "agent/evictions.h"
#include "holdfast/telemetry/build_info.h"

namespace holdfast::agent {

telemetry::LinkState label_of(upstream::Link link) {
  switch (link) {
    case upstream::Link::kOnline:
      return telemetry::LinkState::kOnline;
    case upstream::Link::kSuspect:
      return telemetry::LinkState::kSuspect;
    case upstream::Link::kOffline:
      return telemetry::LinkState::kOffline;
  }
  return telemetry::LinkState::kOffline;
}

AdminSource::AdminSource(Parts parts)
    : parts_{std::move(parts)}, started_{std::chrono::system_clock::now()} {}

void AdminSource::mirror() {
  auto& metrics = parts_.metrics;
  const auto stats = parts_.store.stats();
  metrics.mirror_cache({.bytes = stats.disk_bytes,
                        .budget_bytes = stats.budget_bytes,
                        .objects = stats.objects,
                        .collections = stats.collections,
                        .evictions = stats.evictions,
                        .write_queue_bytes = stats.queue_bytes,
                        .persistent = stats.persistent,
                        .dropped = stats.dropped_records,
                        .corrupt = stats.corrupt_records,
                        .write_errors = stats.write_errors});
  if (parts_.flows) parts_.flows->mirror();
  if (parts_.interceptor) {
    metrics.circuits_open(parts_.interceptor->open_circuits().size());
    metrics.heartbeat_age(std::chrono::steady_clock::now() - parts_.serving.view().last_beat);
  }
}

std::string AdminSource::metrics() {
  mirror();
  return parts_.metrics.serialize();
}

admin::Reply AdminSource::cache(const admin::CacheQuery& query) {
  return answer_cache(query, parts_.store, parts_.identities, system_clock());
}

admin::Readiness AdminSource::ready() {
  auto problems = parts_.serving.view().problems;
  return {.ready = problems.empty(), .reasons = std::move(problems)};
}

admin::Status AdminSource::status() {
  mirror();
  const auto view = parts_.serving.view();
  const auto link = parts_.link.snapshot();
  const auto stats = parts_.store.stats();
  admin::Status out{.version = std::string{telemetry::version()},
                    .commit = std::string{telemetry::commit()},
                    .node = parts_.config.node,
                    .distribution = std::string{to_string(parts_.node.distribution)},
                    .role = std::string{parts_.node.role_name()},
                    .distribution_reason = parts_.node.reason(),
                    .now = std::chrono::system_clock::now(),
                    .started = started_,
                    .readiness = ready()};
  out.link.state = label_of(link.state);
  out.link.since = view.link_since;
  out.link.last_online =
      link.state == upstream::Link::kOnline ? std::optional{out.now} : link.last_online;
  for (std::size_t i = 0; i < parts_.servers.size(); ++i) {
    const auto health = parts_.link.health(i);
    out.link.servers.push_back(
        {.address = parts_.servers[i],
         .healthy = link.state != upstream::Link::kOffline && !health.failing,
         .rtt =
             health.srtt.count() > 0
                 ? std::optional{std::chrono::duration_cast<std::chrono::microseconds>(health.srtt)}
                 : std::nullopt});
  }
  for (const auto& known : parts_.terminator.spliced()) {
    out.spliced.push_back({.executable = known.client.executable,
                           .workload = known.client.workload,
                           .target = known.client.target.to_string(),
                           .reason = std::string{tls::to_string(known.reason)},
                           .certificate = known.certificate,
                           .until = known.until});
  }
  out.intercept.enabled = parts_.config.intercept.enabled;
  out.intercept.off_reason = parts_.stay_out;
  out.intercept.attached = parts_.interceptor != nullptr;
  out.intercept.targets = view.targets;
  out.intercept.certificate = view.certificate;
  out.intercept.listen = parts_.listen;
  if (parts_.interceptor) {
    out.intercept.circuits_open = parts_.interceptor->open_circuits().size();
    out.intercept.flow_events_lost = parts_.interceptor->counters().events_lost;
    if (view.last_beat != std::chrono::steady_clock::time_point{}) {
      out.intercept.heartbeat_age = std::chrono::duration_cast<std::chrono::milliseconds>(
          std::chrono::steady_clock::now() - view.last_beat);
    }
  }
  for (std::size_t i = 0; i < telemetry::kVerdicts; ++i) {
    const auto verdict = static_cast<telemetry::Verdict>(i);
    out.connections.open[i] = parts_.metrics.connections_open(verdict);
    out.connections.total[i] = parts_.metrics.connections(verdict);
  }
  for (std::size_t i = 0; i < telemetry::kSources; ++i) {
    out.requests[i] = parts_.metrics.requests(static_cast<telemetry::Source>(i));
  }
  out.cache.bytes = stats.disk_bytes;
  out.cache.budget_bytes = stats.budget_bytes;
  out.cache.objects = stats.objects;
  out.cache.collections = stats.collections;
  out.cache.evictions = stats.evictions;
  out.cache.write_queue_bytes = stats.queue_bytes;
  out.cache.write_errors = stats.write_errors;
  out.cache.problem = view.cache_problem;
  out.cache.key = cache::to_string(parts_.store.key_place());
  for (std::size_t i = 0; i < telemetry::kCacheResults; ++i) {
    out.cache.reads[i] = parts_.metrics.cache_reads(static_cast<telemetry::CacheResult>(i));
  }
  out.evictions = evictions(parts_.store, parts_.config.node);
  out.config_path = parts_.config_path;
  out.config_error = view.config_error;
  out.restart_needed = view.restart_needed;
  return out;
}

}  // namespace holdfast::agent
