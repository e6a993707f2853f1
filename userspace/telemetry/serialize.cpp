#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <utility>
#include <vector>

#include "holdfast/telemetry/build_info.h"
#include "holdfast/telemetry/catalogue.h"
#include "telemetry/cells.h"
#include "telemetry/metric_id.h"
#include "telemetry/process_stats.h"

namespace holdfast::telemetry {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

prometheus::MetricType type_of(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return prometheus::MetricType::Counter;
    case MetricType::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricType::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

/// The families in the catalogue's order, filled in any order.
class Families {
 public:
  Families() {
    for (const auto& info : catalogue()) {
      families_.push_back({std::string{info.name}, std::string{info.help}, type_of(info.type), {}});
    }
  }
  /// `values` in the order of the catalogue's labels.
  prometheus::ClientMetric& add(MetricId id, std::initializer_list<std::string_view> values = {}) {
    const auto index = static_cast<std::size_t>(id);
    auto& metric = families_[index].metric.emplace_back();
    std::size_t label = 0;
    for (const auto value : values) {
      metric.label.push_back({std::string{catalogue()[index].labels[label++]}, std::string{value}});
    }
    return metric;
  }
  /// A counter's or a gauge's value.
  template <class Number>
  void value(MetricId id, Number number, std::initializer_list<std::string_view> values = {}) {
    auto& metric = add(id, values);
    if (catalogue()[static_cast<std::size_t>(id)].type == MetricType::kCounter) {
      metric.counter.value = static_cast<double>(number);
    } else {
      metric.gauge.value = static_cast<double>(number);
    }
  }
  /// A counter's value, left out while it is 0: for those that most agents never use.
  void if_any(MetricId id, std::uint64_t number,
              std::initializer_list<std::string_view> values = {}) {
    if (number != 0) value(id, number, values);
  }
  std::string text() {
    std::erase_if(families_, [](const auto& family) { return family.metric.empty(); });
    return prometheus::TextSerializer{}.Serialize(families_);
  }

 private:
  std::vector<prometheus::MetricFamily> families_;
};

std::string code_label(std::size_t slot) {
  if (slot >= kCodes.size()) return "other";
  return kCodes[slot] == 0 ? "none" : std::to_string(kCodes[slot]);
}

void add_requests(Families& out, std::size_t resource, const RequestTable& table) {
  for (std::size_t v = 0; v < kVerbs; ++v) {
    for (std::size_t s = 0; s < kSources; ++s) {
      for (std::size_t c = 0; c < kCodeSlots; ++c) {
        const auto count = table.cells[RequestTable::index(v, s, c)].load(kRelaxed);
        if (count == 0) continue;
        out.value(MetricId::kRequests, count,
                  {kube::to_string(static_cast<kube::Verb>(v)), resource_of(resource),
                   to_string(static_cast<Source>(s)), code_label(c)});
      }
    }
  }
}

void add_duration(Families& out, std::size_t verb, std::size_t source,
                  const HistogramCells& cells) {
  prometheus::ClientMetric::Histogram histogram;
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < kBuckets.size(); ++i) {
    count += cells.counts[i].load(kRelaxed);
    histogram.bucket.push_back({count, kBuckets[i]});
  }
  count += cells.counts[kBuckets.size()].load(kRelaxed);
  if (count == 0) return;
  histogram.sample_count = count;
  histogram.sample_sum = static_cast<double>(cells.sum_ns.load(kRelaxed)) / 1e9;
  auto& metric = out.add(
      MetricId::kRequestDuration,
      {kube::to_string(static_cast<kube::Verb>(verb)), to_string(static_cast<Source>(source))});
  metric.histogram = std::move(histogram);
}

template <class Enum, std::size_t N, class Cell>
void add_each(Families& out, MetricId id, const std::array<Cell, N>& cells) {
  for (std::size_t i = 0; i < N; ++i) {
    out.value(id, cells[i].load(kRelaxed), {to_string(static_cast<Enum>(i))});
  }
}

void add_process(Families& out) {
  const auto stats = read_process_stats();
  if (!stats) return;
  out.value(MetricId::kProcessCpu, stats->cpu_seconds);
  out.value(MetricId::kProcessResident, stats->resident_bytes);
  out.value(MetricId::kProcessVirtual, stats->virtual_bytes);
  out.value(MetricId::kProcessOpenFds, stats->open_fds);
  out.value(MetricId::kProcessMaxFds, stats->max_fds);
  out.value(MetricId::kProcessThreads, stats->threads);
  out.value(MetricId::kProcessStart, stats->start_time_seconds);
}

}  // namespace

std::string Metrics::serialize() const {
  const Cells& c = *cells_;
  Families out;
  out.value(MetricId::kBuildInfo, 1, {version(), commit()});
  {
    const std::lock_guard lock{c.mutex};
    if (!c.distribution.empty()) out.value(MetricId::kNodeInfo, 1, {c.distribution});
  }
  if (const int link = c.link.load(); link >= 0) {
    out.value(MetricId::kLinkUp, link == static_cast<int>(LinkState::kOffline) ? 0 : 1);
  }
  add_each<LinkState>(out, MetricId::kLinkTransitions, c.link_transitions);
  if (const auto ms = c.last_online_ms.load(); ms >= 0) {
    out.value(MetricId::kLinkLastOnline, static_cast<double>(ms) / 1e3);
  }
  for (std::size_t v = 0; v < kVerdicts; ++v) {
    for (std::size_t r = 0; r < kConnectionReasons; ++r) {
      const auto i = v * kConnectionReasons + r;
      out.if_any(MetricId::kConnections, c.connections[i].load() + c.mirrored[i].load(),
                 {to_string(static_cast<Verdict>(v)), to_string(static_cast<ConnectionReason>(r))});
    }
  }
  add_each<Verdict>(out, MetricId::kConnectionsOpen, c.connections_open);
  if (const auto ns = c.heartbeat_age_ns.load(); ns >= 0) {
    out.value(MetricId::kHeartbeatAge, static_cast<double>(ns) / 1e9);
  }
  out.value(MetricId::kFlowEventsLost, c.flow_events_lost.load());
  if (const auto open = c.circuits_open.load(); open >= 0) {
    out.value(MetricId::kCircuitsOpen, open);
  }
  for (std::size_t slot = 0; slot < kResourceSlots; ++slot) {
    if (const auto* table = c.requests[slot].load(std::memory_order_acquire)) {
      add_requests(out, slot, *table);
    }
  }
  for (std::size_t v = 0; v < kVerbs; ++v) {
    for (std::size_t s = 0; s < kSources; ++s)
      add_duration(out, v, s, c.durations[v * kSources + s]);
  }
  add_each<CacheResult>(out, MetricId::kCacheReads, c.cache_reads);
  if (c.cache_known.load(std::memory_order_acquire)) {
    out.value(MetricId::kCacheBytes, c.cache_bytes.load());
    out.value(MetricId::kCacheBudget, c.cache_budget.load());
    out.value(MetricId::kCacheObjects, c.cache_objects.load());
    out.value(MetricId::kCacheCollections, c.cache_collections.load());
    out.value(MetricId::kCacheEvictions, c.cache_evictions.load());
    out.value(MetricId::kCacheWriteQueue, c.cache_write_queue.load());
    out.value(MetricId::kCachePersistent, c.cache_persistent.load());
    out.value(MetricId::kCacheDropped, c.cache_dropped.load());
    out.value(MetricId::kCacheCorrupt, c.cache_corrupt.load());
    out.value(MetricId::kCacheWriteErrors, c.cache_write_errors.load());
  }
  add_each<WatchState>(out, MetricId::kWatchesOpen, c.watches_open);
  for (std::size_t i = 0; i < kResumeHows; ++i) {
    out.if_any(MetricId::kWatchResumes, c.watch_resumes[i].load(),
               {to_string(static_cast<ResumeHow>(i))});
  }
  for (std::size_t i = 0; i < kLeasePolicies * kLeaseOutcomes; ++i) {
    out.if_any(MetricId::kLeaseRequests, c.lease_requests[i].load(),
               {to_string(static_cast<LeasePolicy>(i / kLeaseOutcomes)),
                to_string(static_cast<LeaseOutcome>(i % kLeaseOutcomes))});
  }
  out.if_any(MetricId::kLeaseForeignWrites, c.lease_foreign_writes.load());
  add_each<Direction>(out, MetricId::kUpstreamBytes, c.upstream_bytes);
  out.value(MetricId::kUpstreamRequests, c.upstream_requests.load());
  add_process(out);
  return out.text();
}

}  // namespace holdfast::telemetry
