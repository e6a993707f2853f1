#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/result.h"
#include "holdfast/kernel/circuit.h"
#include "holdfast/kernel/connection_tag.h"
#include "holdfast/kernel/flow_event.h"
#include "holdfast/kernel/own_traffic.h"
#include "holdfast/kernel/types.h"

namespace holdfast::kernel {

struct InterceptorOptions {
  std::string cgroup_path;  ///< "" means the cgroup2 root of this host
  Endpoint listen_v4;       ///< port 0: IPv4 connections are left direct
  Endpoint listen_v6;       ///< port 0: IPv6 connections are left direct
  Action default_action = Action::kRedirect;
  std::uint32_t own_mark = kOwnMark;
  std::size_t event_buffer_bytes = std::size_t{1} << 20;  ///< rounded up to a power of two
};

struct CgroupRule {
  CgroupId cgroup_id{};
  Action action{};
};
struct ProcessRule {
  pid_t pid = 0;  ///< tgid in the initial pid namespace
  Action action{};
};

/// Totals since load, summed over processors; indexed by the enums' values.
struct KernelCounters {
  std::uint64_t events_lost = 0;
  std::uint64_t tag_conflicts = 0;
  std::uint64_t tags_lost = 0;  ///< the tag table was full
  std::uint64_t circuits_opened = 0;
  std::uint64_t tags_taken = 0;
  std::uint64_t tags_missed = 0;  ///< accepts without a tag
  std::array<std::uint64_t, HF_VERDICT_COUNT> verdicts{};
  std::array<std::uint64_t, HF_REASON_COUNT> reasons{};  ///< of the direct ones
  std::array<std::uint64_t, HF_FAILURE_COUNT> failures{};
};

/// The BPF programs, loaded and attached for as long as this object lives. Nothing is pinned: when
/// the process dies, connections are made as if it had never been. Before the first `beat` and
/// without targets nothing is redirected. Move-only. Thread-safe, except where said otherwise.
class Interceptor {
 public:
  /// Fails when the kernel or the cgroup lacks something (see probe_features) or privileges do.
  static Result<Interceptor> create(const InterceptorOptions& options);
  Interceptor(Interceptor&&) noexcept;
  Interceptor& operator=(Interceptor&&) noexcept;
  Interceptor(const Interceptor&) = delete;
  Interceptor& operator=(const Interceptor&) = delete;
  ~Interceptor();

  /// Replaces the set of API-server addresses, at most 1024. Loopback addresses count in the
  /// network namespace that this object was created in only. One thread at a time.
  Result<> set_targets(std::span<const Endpoint> targets);
  /// Replaces all rules; a process rule wins over a cgroup rule, that over the default. One thread
  /// at a time.
  Result<> set_rules(std::span<const CgroupRule> cgroups, std::span<const ProcessRule> processes);
  void set_default_action(Action action) noexcept;

  /// "The agent serves at `now`": good for two seconds. Every 250 ms.
  void beat(std::chrono::steady_clock::time_point now) noexcept;
  /// From now on everything goes direct, until the next beat.
  void stop_beating() noexcept;

  /// kUnknown forgets the namespace.
  Result<> set_admission(NetnsCookie cookie, NetnsVerdict verdict);

  /// Who opened the connection that was accepted from `peer` at `local`; each tag is given once.
  /// Nothing when there is none, or when two connections claim it.
  std::optional<ConnectionTag> take_tag(const Endpoint& peer, const Endpoint& local);
  /// Drops the tags that no accept claimed within a second and, if `count`, counts each against its
  /// circuit. Call it about four times a second; returns how many there were.
  std::size_t sweep_unclaimed(std::chrono::steady_clock::time_point now, bool count = true);

  [[nodiscard]] std::vector<OpenCircuit> open_circuits() const;
  /// Not an error when it is closed already.
  Result<> close_circuit(const CircuitKey& key);
  /// A failure that the agent saw, with the weight of one that the kernel saw.
  void report_failure(const CircuitKey& key, Failure failure,
                      std::chrono::steady_clock::time_point now);

  /// Readable when poll_flows has something to deliver. Owned by this object.
  [[nodiscard]] int flow_fd() const noexcept;
  /// Delivers what is in the buffer, in order, without waiting; returns how many. One thread.
  std::size_t poll_flows(const std::function<void(const FlowEvent&)>& sink);

  [[nodiscard]] KernelCounters counters() const;
  /// Nanoseconds and runs of all hooks together, while kernel.bpf_stats_enabled is 1.
  struct RunTime {
    std::uint64_t runs = 0;
    std::chrono::nanoseconds time{};
  };
  [[nodiscard]] RunTime run_time() const;

 private:
  class Impl;
  explicit Interceptor(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::kernel
