#pragma once

#include <chrono>
#include <optional>
#include <span>

#include "holdfast/abi/flow.h"
#include "holdfast/abi/records.h"
#include "holdfast/base/endpoint.h"
#include "holdfast/kernel/circuit.h"
#include "holdfast/kernel/connection_tag.h"
#include "holdfast/kernel/flow_event.h"

/// Between the ABI's structures and ours: pure functions.
namespace holdfast::kernel {

using SteadyTime = std::chrono::steady_clock::time_point;

hf_endpoint to_abi(const Endpoint& endpoint);
Endpoint from_abi(const hf_endpoint& endpoint);

/// steady_clock is CLOCK_MONOTONIC, which bpf_ktime_get_ns reads.
__u64 to_abi(SteadyTime time);
SteadyTime from_abi_time(__u64 nanoseconds);

ConnectionTag to_tag(const hf_origin& origin);
/// Nothing for a record that is not of the expected size or kind.
std::optional<FlowEvent> to_flow_event(std::span<const std::byte> record);

hf_circuit_key to_abi(const CircuitKey& key);
CircuitKey from_abi(const hf_circuit_key& key);

/// What the kernel's count_failure does, for failures that only the agent sees. Returns whether
/// the circuit opened now.
bool count_failure(hf_circuit& circuit, Failure failure, SteadyTime now);

}  // namespace holdfast::kernel
