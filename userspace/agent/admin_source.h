#pragma once

#include <memory>

#include "agent/distribution.h"
#include "agent/flow_pump.h"
#include "agent/serving_state.h"
#include "holdfast/admin/server.h"
#include "holdfast/cache/store.h"
#include "holdfast/config/config.h"
#include "holdfast/kernel/interceptor.h"
#include "holdfast/telemetry/metrics.h"
#include "holdfast/tls/terminator.h"
#include "holdfast/upstream/link_monitor.h"

namespace holdfast::agent {

/// Answers the admin server from what the agent's parts say of themselves.
class AdminSource final : public admin::Source {
 public:
  struct Parts {
    const config::Config& config;
    std::string config_path;
    cache::Store& store;
    const identity::Registry& identities;
    upstream::LinkMonitor& link;
    const tls::Terminator& terminator;
    telemetry::Metrics& metrics;
    telemetry::Broadcast& trace;
    const ServingState& serving;
    kernel::Interceptor* interceptor;  ///< null: interception is off
    FlowPump* flows;
    NodeKind node;
    std::string stay_out;
    std::vector<std::string> servers;
    std::vector<std::string> listen;
  };
  explicit AdminSource(Parts parts);

  admin::Status status() override;
  admin::Readiness ready() override;
  std::string metrics() override;
  telemetry::Broadcast& trace() override { return parts_.trace; }
  admin::Reply cache(const admin::CacheQuery& query) override;

 private:
  void mirror();
  Parts parts_;
  std::chrono::system_clock::time_point started_;
};

telemetry::LinkState label_of(upstream::Link link);

}  // namespace holdfast::agent
