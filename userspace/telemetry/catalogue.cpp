#include "holdfast/telemetry/catalogue.h"

#include "telemetry/metric_id.h"

namespace holdfast::telemetry {
namespace {

using enum MetricType;

// In the order of MetricId.
constexpr std::array<MetricInfo, kMetrics> kCatalogue{{
    {"holdfast_build_info",
     kGauge,
     "Always 1; the labels say what is running.",
     {"version", "commit"}},
    {"holdfast_node_info",
     kGauge,
     "Always 1; the label says which Kubernetes this node runs.",
     {"distribution"}},
    {"holdfast_link_up",
     kGauge,
     "1 while the API server is reachable or not yet given up, 0 while offline.",
     {}},
    {"holdfast_link_transitions_total", kCounter, "Changes of the link's state.", {"to"}},
    {"holdfast_link_last_online_timestamp_seconds",
     kGauge,
     "When the link was last known to be up, in Unix time.",
     {}},
    {"holdfast_connections_total",
     kCounter,
     "Connections to API servers by what became of them, and why they were not terminated.",
     {"verdict", "reason"}},
    {"holdfast_connections_open",
     kGauge,
     "Connections to API servers that are open now.",
     {"verdict"}},
    {"holdfast_heartbeat_age_seconds",
     kGauge,
     "Age of the heartbeat that the kernel side sees; beyond 2 s everything goes direct.",
     {}},
    {"holdfast_flow_events_lost_total",
     kCounter,
     "Flow events that the ring buffer had no room for.",
     {}},
    {"holdfast_circuits_open",
     kGauge,
     "Workloads that go direct because redirecting them failed.",
     {}},
    {"holdfast_requests_total",
     kCounter,
     "Requests answered, by where the answer came from.",
     {"verb", "resource", "source", "code"}},
    {"holdfast_request_duration_seconds",
     kHistogram,
     "Time to the last byte of the answer; for watches and tunnels to its first.",
     {"verb", "source"}},
    {"holdfast_cache_reads_total",
     kCounter,
     "Questions to the cache, by what it knew.",
     {"result"}},
    {"holdfast_cache_bytes", kGauge, "Bytes that the cache takes on disk.", {}},
    {"holdfast_cache_budget_bytes", kGauge, "Bytes that the cache may take on disk.", {}},
    {"holdfast_cache_objects", kGauge, "Bodies in the cache.", {}},
    {"holdfast_cache_collections", kGauge, "Lists in the cache, one per query and principal.", {}},
    {"holdfast_cache_evictions_total", kCounter, "Collections dropped to keep to the budget.", {}},
    {"holdfast_cache_write_queue_bytes", kGauge, "Bytes waiting to be written to the cache.", {}},
    {"holdfast_cache_persistent",
     kGauge,
     "1 if the cache is on disk; 0: in memory only, since the disk can't be used.",
     {}},
    {"holdfast_cache_dropped_records_total",
     kCounter,
     "Answers and events that were shown and not kept: the write queue was full.",
     {}},
    {"holdfast_cache_corrupt_records_total",
     kCounter,
     "Records that did not open, and were forgotten; logs that were torn or damaged at a start.",
     {}},
    {"holdfast_cache_write_errors_total",
     kCounter,
     "Writes that the disk did not take; what they were about is not served.",
     {}},
    {"holdfast_watches_open",
     kGauge,
     "Watches of clients: live upstream, or held while the link is down.",
     {"state"}},
    {"holdfast_watch_resumes_total", kCounter, "Watches carried over a disconnection.", {"how"}},
    {"holdfast_lease_requests_total",
     kCounter,
     "Requests on Leases, by policy and outcome.",
     {"policy", "outcome"}},
    {"holdfast_lease_foreign_writes_total",
     kCounter,
     "Writes by someone else to a Lease whose holder is on this node.",
     {}},
    {"holdfast_upstream_bytes_total", kCounter, "Bytes to and from API servers.", {"direction"}},
    {"holdfast_upstream_requests_total", kCounter, "Requests sent to API servers.", {}},
    {"process_cpu_seconds_total", kCounter, "User and system CPU time of the agent.", {}},
    {"process_resident_memory_bytes", kGauge, "Resident memory of the agent.", {}},
    {"process_virtual_memory_bytes", kGauge, "Virtual memory of the agent.", {}},
    {"process_open_fds", kGauge, "Open file descriptors of the agent.", {}},
    {"process_max_fds", kGauge, "How many file descriptors the agent may open.", {}},
    {"process_threads", kGauge, "Threads of the agent.", {}},
    {"process_start_time_seconds", kGauge, "When the agent was started, in Unix time.", {}},
}};

}  // namespace

std::span<const MetricInfo> catalogue() {
  return kCatalogue;
}

std::string_view to_string(MetricType type) {
  switch (type) {
    case kCounter:
      return "counter";
    case kGauge:
      return "gauge";
    case kHistogram:
      return "histogram";
  }
  return "?";
}

}  // namespace holdfast::telemetry
