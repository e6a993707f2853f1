#include "agent/flow_pump.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cerrno>
#include <chrono>

#include "holdfast/telemetry/log.h"

namespace holdfast::agent {
namespace {

telemetry::Verdict verdict_of(kernel::Verdict verdict) {
  switch (verdict) {
    case kernel::Verdict::kRedirected:
      return telemetry::Verdict::kRedirected;
    case kernel::Verdict::kSpliced:
      return telemetry::Verdict::kSpliced;
    case kernel::Verdict::kDirect:
      return telemetry::Verdict::kDirect;
  }
  return telemetry::Verdict::kDirect;
}

telemetry::ConnectionReason reason_of(kernel::Reason reason) {
  using telemetry::ConnectionReason;
  switch (reason) {
    case kernel::Reason::kNone:
      return ConnectionReason::kNone;
    case kernel::Reason::kHeartbeatStale:
      return ConnectionReason::kHeartbeatStale;
    case kernel::Reason::kOwnTraffic:
      return ConnectionReason::kOwnTraffic;
    case kernel::Reason::kNetnsDenied:
      return ConnectionReason::kNetnsDenied;
    case kernel::Reason::kNetnsIsolated:
      return ConnectionReason::kNetnsIsolated;
    case kernel::Reason::kCircuitOpen:
      return ConnectionReason::kCircuitOpen;
    case kernel::Reason::kRuleBypass:
      return ConnectionReason::kRuleBypass;
    case kernel::Reason::kNoListener:
      return ConnectionReason::kNoListener;
    case kernel::Reason::kRecordFailed:
      return ConnectionReason::kRecordFailed;
  }
  return ConnectionReason::kOther;
}

// The kernel's clock for events is the steady one; people read the wall's.
std::chrono::system_clock::time_point wall_time(std::chrono::steady_clock::time_point at) {
  const auto ago = std::chrono::steady_clock::now() - at;
  return std::chrono::time_point_cast<std::chrono::system_clock::duration>(
      std::chrono::system_clock::now() - ago);
}

}  // namespace

FlowPump::FlowPump(kernel::Interceptor& interceptor, AdmissionControl& admission,
                   const identity::PodDirectory& pods, telemetry::Metrics& metrics,
                   telemetry::Broadcast& trace, SplicedFlows& spliced)
    : interceptor_{interceptor},
      admission_{admission},
      pods_{pods},
      metrics_{metrics},
      trace_{trace},
      spliced_{spliced},
      open_{[](pid_t pid) { return kill(pid, 0) == 0 || errno != ESRCH; }} {}

Task<> FlowPump::run(Executor executor) {
  boost::asio::posix::basic_stream_descriptor<Executor> readable{executor,
                                                                 dup(interceptor_.flow_fd())};
  while (true) {
    interceptor_.poll_flows([this](const kernel::FlowEvent& event) { take(event); });
    open_.tick(SteadyClock::now());
    co_await readable.async_wait(readable.wait_read, use_task);
  }
}

void FlowPump::take(const kernel::FlowEvent& event) {
  const bool own = event.reason == kernel::Reason::kOwnTraffic;
  switch (event.kind) {
    case kernel::FlowKind::kConnect: {
      if (!own) admission_.saw(event.netns_cookie, event.pid, event.original);
      auto process = identity::read_process(static_cast<std::uint32_t>(event.pid));
      const bool direct = event.verdict == kernel::Verdict::kDirect && !own;
      open_.connecting(event.connection, event.pid, direct,
                       process ? std::optional{std::move(*process)} : std::nullopt,
                       SteadyClock::now());
      break;
    }
    case kernel::FlowKind::kEstablished:
      if (event.verdict != kernel::Verdict::kDirect) {
        admission_.located(event.netns_cookie, event.local);
      }
      open_.established(event.connection);
      break;
    case kernel::FlowKind::kClosed:
      break;  // described below, then forgotten
    case kernel::FlowKind::kCircuitOpened:
      telemetry::log(spdlog::level::warn, "circuit opened: a workload can't use this agent",
                     {{"pid", event.pid},
                      {"comm", event.comm},
                      {"cgroup_id", static_cast<std::uint64_t>(event.cgroup_id)},
                      {"failure", kernel::to_string(event.failure)}});
      return;
  }
  // Our own connections to the API server are what the proxied ones are made of: not shown twice.
  if (trace_.wanted() && !own) {
    static const identity::Process kUnknown;
    const auto* known = open_.find(event.connection);
    trace_.publish(describe(event, known ? *known : kUnknown));
  }
  if (event.kind == kernel::FlowKind::kClosed) {
    open_.closed(event.connection);
    spliced_.remove(event.connection);
  }
}

telemetry::FlowEvent FlowPump::describe(const kernel::FlowEvent& event,
                                        const identity::Process& process) const {
  telemetry::FlowEvent out{.time = wall_time(event.at),
                           .connection = static_cast<std::uint64_t>(event.connection),
                           .verdict = verdict_of(event.verdict),
                           .pid = static_cast<std::uint32_t>(event.pid),
                           .comm = event.comm,
                           .executable = process.executable,
                           .cgroup = process.cgroup,
                           .container = process.container.container_id,
                           .original = event.original,
                           .bytes_sent = event.bytes_sent,
                           .bytes_received = event.bytes_received,
                           .srtt_us = static_cast<std::uint32_t>(event.srtt.count()),
                           .retransmits = event.retransmits};
  if (const auto why = spliced_.find(event.connection)) {
    out.verdict = telemetry::Verdict::kSpliced;
    out.reason = telemetry::to_string(*why);
  }
  if (event.reason != kernel::Reason::kNone) out.reason = kernel::to_string(event.reason);
  if (event.failure != kernel::Failure::kNone) out.reason = kernel::to_string(event.failure);
  if (event.local.port != 0) out.local = event.local;
  using std::chrono::duration_cast;
  using std::chrono::microseconds;
  if (event.established_at) {
    out.established = duration_cast<microseconds>(*event.established_at - event.connected_at);
  }
  if (event.kind == kernel::FlowKind::kClosed) {
    out.duration = duration_cast<microseconds>(event.at - event.connected_at);
  }
  if (const auto& uid = process.container.pod_uid; !uid.empty()) {
    const auto name = pods_.find(uid);
    out.pod =
        telemetry::PodRef{name ? name->ns : std::string{}, name ? name->name : std::string{}, uid};
  }
  return out;
}

void FlowPump::mirror() {
  open_.tick(SteadyClock::now());
  metrics_.set_connections_open(telemetry::Verdict::kDirect, open_.direct());
  const auto counters = interceptor_.counters();
  metrics_.mirror_flow_events_lost(counters.events_lost);
  for (std::size_t i = 1; i < counters.reasons.size(); ++i) {
    const auto reason = static_cast<kernel::Reason>(i);
    // Our own connections carry what was redirected: they are counted as upstream.
    if (reason == kernel::Reason::kOwnTraffic) continue;
    metrics_.mirror_connections(telemetry::Verdict::kDirect, reason_of(reason),
                                counters.reasons[i]);
  }
}

}  // namespace holdfast::agent
