#pragma once

#include <cstddef>

namespace holdfast::telemetry {

/// Index into the catalogue, and the order of /metrics.
enum class MetricId : std::size_t {
  kBuildInfo,
  kNodeInfo,
  kLinkUp,
  kLinkTransitions,
  kLinkLastOnline,
  kConnections,
  kConnectionsOpen,
  kHeartbeatAge,
  kFlowEventsLost,
  kCircuitsOpen,
  kRequests,
  kRequestDuration,
  kCacheReads,
  kCacheBytes,
  kCacheBudget,
  kCacheObjects,
  kCacheCollections,
  kCacheEvictions,
  kCacheWriteQueue,
  kCachePersistent,
  kCacheDropped,
  kCacheCorrupt,
  kCacheWriteErrors,
  kWatchesOpen,
  kWatchResumes,
  kLeaseRequests,
  kLeaseForeignWrites,
  kUpstreamBytes,
  kUpstreamRequests,
  kProcessCpu,
  kProcessResident,
  kProcessVirtual,
  kProcessOpenFds,
  kProcessMaxFds,
  kProcessThreads,
  kProcessStart,
};
inline constexpr std::size_t kMetrics = static_cast<std::size_t>(MetricId::kProcessStart) + 1;

}  // namespace holdfast::telemetry
