#include "holdfast/telemetry/metrics.h"

#include <algorithm>
#include <new>

#include "telemetry/cells.h"

namespace holdfast::telemetry {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

template <class Enum>
constexpr std::size_t at(Enum value) {
  return static_cast<std::size_t>(value);
}

std::size_t connection_index(Verdict verdict, ConnectionReason reason) {
  return at(verdict) * kConnectionReasons + at(reason);
}

/// A total that is kept elsewhere; never goes backwards.
void raise(Counter& cell, std::uint64_t total) noexcept {
  auto seen = cell.load(kRelaxed);
  while (seen < total && !cell.compare_exchange_weak(seen, total, kRelaxed)) {
  }
}

RequestTable* table_of(std::atomic<RequestTable*>& slot) noexcept {
  if (auto* table = slot.load(std::memory_order_acquire)) return table;
  auto* fresh = new (std::nothrow) RequestTable;
  RequestTable* expected = nullptr;
  if (fresh && slot.compare_exchange_strong(expected, fresh, std::memory_order_acq_rel)) {
    return fresh;
  }
  delete fresh;
  return expected;  // another thread was first, or memory is out: then this request is not counted
}

std::int64_t to_ms(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

Metrics::Metrics() : cells_{std::make_unique<Cells>()} {}
Metrics::~Metrics() = default;

void Metrics::request(kube::Verb verb, std::string_view resource, Source source, int code,
                      std::chrono::nanoseconds duration) noexcept {
  const auto v = std::min(at(verb), kVerbs - 1);
  if (auto* table = table_of(cells_->requests[resource_slot(resource)])) {
    table->cells[RequestTable::index(v, at(source), code_slot(code))].fetch_add(1, kRelaxed);
  }
  cells_->requests_by_source[at(source)].fetch_add(1, kRelaxed);

  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
  const double seconds = static_cast<double>(ns) / 1e9;
  // "le" bounds are inclusive.
  const auto bucket = std::lower_bound(kBuckets.begin(), kBuckets.end(), seconds);
  auto& histogram = cells_->durations[v * kSources + at(source)];
  histogram.counts[static_cast<std::size_t>(bucket - kBuckets.begin())].fetch_add(1, kRelaxed);
  histogram.sum_ns.fetch_add(ns, kRelaxed);
}

void Metrics::cache_read(CacheResult result) noexcept {
  cells_->cache_reads[at(result)].fetch_add(1, kRelaxed);
}
void Metrics::upstream_request() noexcept {
  cells_->upstream_requests.fetch_add(1, kRelaxed);
}
void Metrics::upstream_bytes(Direction direction, std::uint64_t bytes) noexcept {
  cells_->upstream_bytes[at(direction)].fetch_add(bytes, kRelaxed);
}

void Metrics::connection(Verdict verdict, ConnectionReason reason) noexcept {
  cells_->connections[connection_index(verdict, reason)].fetch_add(1, kRelaxed);
}
void Metrics::mirror_connections(Verdict verdict, ConnectionReason reason,
                                 std::uint64_t total) noexcept {
  raise(cells_->mirrored[connection_index(verdict, reason)], total);
}
void Metrics::connection_opened(Verdict verdict) noexcept {
  cells_->connections_open[at(verdict)].fetch_add(1, kRelaxed);
}
void Metrics::connection_closed(Verdict verdict) noexcept {
  cells_->connections_open[at(verdict)].fetch_sub(1, kRelaxed);
}
void Metrics::set_connections_open(Verdict verdict, std::int64_t count) noexcept {
  cells_->connections_open[at(verdict)].store(count, kRelaxed);
}

void Metrics::link_state(LinkState state, std::chrono::system_clock::time_point now) noexcept {
  if (cells_->link.exchange(static_cast<int>(state)) != static_cast<int>(state)) {
    cells_->link_transitions[at(state)].fetch_add(1, kRelaxed);
  }
  if (state == LinkState::kOnline) link_online_at(now);
}
void Metrics::link_online_at(std::chrono::system_clock::time_point when) noexcept {
  cells_->last_online_ms.store(to_ms(when), kRelaxed);
}
void Metrics::heartbeat_age(std::chrono::nanoseconds age) noexcept {
  cells_->heartbeat_age_ns.store(age.count(), kRelaxed);
}
void Metrics::circuits_open(std::uint64_t count) noexcept {
  cells_->circuits_open.store(static_cast<std::int64_t>(count), kRelaxed);
}
void Metrics::mirror_flow_events_lost(std::uint64_t total) noexcept {
  raise(cells_->flow_events_lost, total);
}

void Metrics::mirror_cache(const CacheGauges& cache) noexcept {
  cells_->cache_bytes.store(cache.bytes, kRelaxed);
  cells_->cache_budget.store(cache.budget_bytes, kRelaxed);
  cells_->cache_objects.store(cache.objects, kRelaxed);
  cells_->cache_collections.store(cache.collections, kRelaxed);
  cells_->cache_write_queue.store(cache.write_queue_bytes, kRelaxed);
  raise(cells_->cache_evictions, cache.evictions);
  cells_->cache_persistent.store(cache.persistent ? 1 : 0, kRelaxed);
  raise(cells_->cache_dropped, cache.dropped);
  raise(cells_->cache_corrupt, cache.corrupt);
  raise(cells_->cache_write_errors, cache.write_errors);
  cells_->cache_known.store(true, std::memory_order_release);
}

void Metrics::watch_opened(WatchState state) noexcept {
  cells_->watches_open[at(state)].fetch_add(1, kRelaxed);
}
void Metrics::watch_closed(WatchState state) noexcept {
  cells_->watches_open[at(state)].fetch_sub(1, kRelaxed);
}
void Metrics::watch_resumed(ResumeHow how) noexcept {
  cells_->watch_resumes[at(how)].fetch_add(1, kRelaxed);
}
void Metrics::lease_request(LeasePolicy policy, LeaseOutcome outcome) noexcept {
  cells_->lease_requests[at(policy) * kLeaseOutcomes + at(outcome)].fetch_add(1, kRelaxed);
}
void Metrics::lease_foreign_write() noexcept {
  cells_->lease_foreign_writes.fetch_add(1, kRelaxed);
}

void Metrics::node_info(std::string_view distribution) {
  constexpr std::string_view kKnown[] = {"plain", "k3s", "kubeadm", "rke2", "microk8s", "k0s"};
  const bool known =
      std::find(std::begin(kKnown), std::end(kKnown), distribution) != std::end(kKnown);
  const std::lock_guard lock{cells_->mutex};
  cells_->distribution = known ? distribution : "unknown";
}

std::uint64_t Metrics::requests(Source source) const noexcept {
  return cells_->requests_by_source[at(source)].load(kRelaxed);
}
std::uint64_t Metrics::connections(Verdict verdict) const noexcept {
  std::uint64_t sum = 0;
  for (std::size_t r = 0; r < kConnectionReasons; ++r) {
    const auto index = connection_index(verdict, static_cast<ConnectionReason>(r));
    sum += cells_->connections[index].load(kRelaxed) + cells_->mirrored[index].load(kRelaxed);
  }
  return sum;
}
std::int64_t Metrics::connections_open(Verdict verdict) const noexcept {
  return cells_->connections_open[at(verdict)].load(kRelaxed);
}
std::uint64_t Metrics::cache_reads(CacheResult result) const noexcept {
  return cells_->cache_reads[at(result)].load(kRelaxed);
}

}  // namespace holdfast::telemetry
