#include "agent/spliced_flows.h"

#include <chrono>

namespace holdfast::agent {

void SplicedFlows::add(const request::Client& client, telemetry::ConnectionReason reason) {
  if (!client.tag) return;
  {
    const std::scoped_lock lock{mutex_};
    if (flows_.size() < kMost) flows_[client.tag->connection] = reason;
  }
  if (!trace_.wanted()) return;
  const auto& process = client.process;
  telemetry::FlowEvent event{.time = std::chrono::system_clock::now(),
                             .connection = static_cast<std::uint64_t>(client.tag->connection),
                             .verdict = telemetry::Verdict::kSpliced,
                             .reason = std::string{telemetry::to_string(reason)},
                             .pid = static_cast<std::uint32_t>(client.tag->pid),
                             .comm = client.tag->comm,
                             .executable = process.executable,
                             .cgroup = process.cgroup,
                             .container = process.container.container_id,
                             .original = client.tag->original,
                             .local = client.peer};
  if (const auto& uid = process.container.pod_uid; !uid.empty()) {
    const auto& name = client.pod;
    event.pod =
        telemetry::PodRef{name ? name->ns : std::string{}, name ? name->name : std::string{}, uid};
  }
  trace_.publish(std::move(event));
}

std::optional<telemetry::ConnectionReason> SplicedFlows::find(kernel::ConnectionId id) const {
  const std::scoped_lock lock{mutex_};
  const auto it = flows_.find(id);
  return it == flows_.end() ? std::nullopt : std::optional{it->second};
}

void SplicedFlows::remove(kernel::ConnectionId id) {
  const std::scoped_lock lock{mutex_};
  flows_.erase(id);
}

}  // namespace holdfast::agent
