#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "holdfast/kube/request_attributes.h"
#include "holdfast/telemetry/labels.h"

namespace holdfast::telemetry {

/// What the store knows at the time of a scrape. `evictions`, `dropped`, `corrupt` and
/// `write_errors` are totals.
struct CacheGauges {
  std::uint64_t bytes = 0, budget_bytes = 0, objects = 0, collections = 0, evictions = 0;
  std::uint64_t write_queue_bytes = 0;
  bool persistent = true;
  std::uint64_t dropped = 0, corrupt = 0, write_errors = 0;
};

/// All metrics of the agent. Thread-safe. Counting is a relaxed atomic addition into a table that
/// labels index; no lock, no allocation but for the first request of a resource.
///
/// `mirror_*` take totals that are kept elsewhere (in the kernel, in the store): call them before
/// `serialize`. A total never goes backwards.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// A request that is answered. `code` is what the client got, 0 when it got no head; `duration`
  /// ends with the answer's last byte (for a watch or tunnel: its head).
  void request(kube::Verb verb, std::string_view resource, Source source, int code,
               std::chrono::nanoseconds duration) noexcept;
  void cache_read(CacheResult result) noexcept;
  void upstream_request() noexcept;
  void upstream_bytes(Direction direction, std::uint64_t bytes) noexcept;

  /// A connection the agent itself judged (accepted: kRedirected, or kSpliced and why).
  void connection(Verdict verdict, ConnectionReason reason) noexcept;
  /// The kernel's total for a verdict and reason, added to what `connection` counted.
  void mirror_connections(Verdict verdict, ConnectionReason reason, std::uint64_t total) noexcept;
  void connection_opened(Verdict verdict) noexcept;
  void connection_closed(Verdict verdict) noexcept;
  /// Absolute, for those that only the kernel sees (kDirect).
  void set_connections_open(Verdict verdict, std::int64_t count) noexcept;

  /// Counts a transition when the state is another one than before; kOnline sets the time stamp.
  void link_state(LinkState state, std::chrono::system_clock::time_point now) noexcept;
  void link_online_at(std::chrono::system_clock::time_point when) noexcept;
  void heartbeat_age(std::chrono::nanoseconds age) noexcept;
  void circuits_open(std::uint64_t count) noexcept;
  void mirror_flow_events_lost(std::uint64_t total) noexcept;

  void mirror_cache(const CacheGauges& cache) noexcept;
  void watch_opened(WatchState state) noexcept;
  void watch_closed(WatchState state) noexcept;
  void watch_resumed(ResumeHow how) noexcept;
  void lease_request(LeasePolicy policy, LeaseOutcome outcome) noexcept;
  void lease_foreign_write() noexcept;

  /// "k3s", "kubeadm", "rke2", "microk8s", "k0s" or "plain"; others count as unknown.
  void node_info(std::string_view distribution);

  /// Prometheus text format 0.0.4, the process's own figures included.
  [[nodiscard]] std::string serialize() const;

  // For the status page.
  [[nodiscard]] std::uint64_t requests(Source source) const noexcept;
  [[nodiscard]] std::uint64_t connections(Verdict verdict) const noexcept;
  [[nodiscard]] std::int64_t connections_open(Verdict verdict) const noexcept;
  [[nodiscard]] std::uint64_t cache_reads(CacheResult result) const noexcept;

 private:
  struct Cells;
  std::unique_ptr<Cells> cells_;
};

}  // namespace holdfast::telemetry
