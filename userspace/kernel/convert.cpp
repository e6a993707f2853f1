#include "kernel/convert.h"

#include <cstring>

#include "holdfast/abi/config.h"

namespace holdfast::kernel {

hf_endpoint to_abi(const Endpoint& endpoint) {
  hf_endpoint out{};
  std::memcpy(out.address, endpoint.address.data(), sizeof(out.address));
  out.port = endpoint.port;
  return out;
}

Endpoint from_abi(const hf_endpoint& endpoint) {
  Endpoint out;
  std::memcpy(out.address.data(), endpoint.address, sizeof(endpoint.address));
  out.port = endpoint.port;
  return out;
}

__u64 to_abi(SteadyTime time) {
  return static_cast<__u64>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

SteadyTime from_abi_time(__u64 nanoseconds) {
  return SteadyTime{std::chrono::nanoseconds{static_cast<std::int64_t>(nanoseconds)}};
}

namespace {
std::string comm_of(const hf_origin& origin) {
  return {origin.comm, strnlen(origin.comm, sizeof(origin.comm))};
}
}  // namespace

ConnectionTag to_tag(const hf_origin& origin) {
  return ConnectionTag{
      .connection = ConnectionId{origin.connection},
      .netns_cookie = NetnsCookie{origin.netns_cookie},
      .cgroup_id = CgroupId{origin.cgroup_id},
      .original = from_abi(origin.original),
      .pid = static_cast<pid_t>(origin.tgid),
      .uid = origin.uid,
      .comm = comm_of(origin),
      .action = static_cast<Action>(origin.action),
      .connected_at = from_abi_time(origin.connect_ns),
  };
}

std::optional<FlowEvent> to_flow_event(std::span<const std::byte> record) {
  hf_flow_event event{};
  if (record.size() != sizeof(event)) return std::nullopt;
  std::memcpy(&event, record.data(), sizeof(event));
  if (event.kind < HF_FLOW_CONNECT || event.kind > HF_FLOW_CIRCUIT_OPENED) return std::nullopt;
  FlowEvent out{
      .kind = static_cast<FlowKind>(event.kind),
      .connection = ConnectionId{event.origin.connection},
      .netns_cookie = NetnsCookie{event.origin.netns_cookie},
      .cgroup_id = CgroupId{event.origin.cgroup_id},
      .pid = static_cast<pid_t>(event.origin.tgid),
      .uid = event.origin.uid,
      .comm = comm_of(event.origin),
      .verdict = static_cast<Verdict>(event.origin.verdict),
      .reason = static_cast<Reason>(event.origin.reason),
      .failure = static_cast<Failure>(event.failure),
      .original = from_abi(event.origin.original),
      .local = from_abi(event.local),
      .at = from_abi_time(event.time_ns),
      .connected_at = from_abi_time(event.origin.connect_ns),
      .established_at = std::nullopt,
      .bytes_sent = event.bytes_sent,
      .bytes_received = event.bytes_received,
      .srtt = std::chrono::microseconds{event.srtt_us},
      .retransmits = event.retransmits,
  };
  if (event.established_ns) out.established_at = from_abi_time(event.established_ns);
  return out;
}

hf_circuit_key to_abi(const CircuitKey& key) {
  return hf_circuit_key{.netns_cookie = static_cast<__u64>(key.netns_cookie),
                        .cgroup_id = static_cast<__u64>(key.cgroup_id)};
}

CircuitKey from_abi(const hf_circuit_key& key) {
  return CircuitKey{.netns_cookie = NetnsCookie{key.netns_cookie},
                    .cgroup_id = CgroupId{key.cgroup_id}};
}

bool count_failure(hf_circuit& circuit, Failure failure, SteadyTime time) {
  const __u64 now = to_abi(time);
  // A failure that the kernel recorded after `now` was read is recent too.
  const bool recent =
      circuit.last_failure_ns != 0 &&
      (circuit.last_failure_ns >= now || now - circuit.last_failure_ns <= HF_CIRCUIT_WINDOW_NS);
  circuit.last_failure_ns = now;
  circuit.last_failure = static_cast<__u32>(failure);
  circuit.failures += 1;
  if (circuit.opened_ns || !(recent || failure == Failure::kUnroutable)) return false;
  circuit.opened_ns = now;
  return true;
}

}  // namespace holdfast::kernel
