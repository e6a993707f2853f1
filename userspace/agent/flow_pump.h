#pragma once

#include "agent/admission_control.h"
#include "agent/open_flows.h"
#include "agent/spliced_flows.h"
#include "holdfast/identity/process.h"
#include "holdfast/kernel/flow_event.h"
#include "holdfast/kernel/interceptor.h"
#include "holdfast/telemetry/broadcast.h"
#include "holdfast/telemetry/metrics.h"

namespace holdfast::agent {

/// Turns the kernel's flow events into what people see: names the process, container and pod, and
/// tells the admission which processes live where. On the control thread.
class FlowPump {
 public:
  FlowPump(kernel::Interceptor& interceptor, AdmissionControl& admission,
           const identity::PodDirectory& pods, telemetry::Metrics& metrics,
           telemetry::Broadcast& trace, SplicedFlows& spliced);

  /// Waits for events and delivers them until cancelled.
  Task<> run(Executor executor);
  /// Brings the totals that the kernel keeps into the metrics; before each scrape.
  void mirror();

 private:
  void take(const kernel::FlowEvent& event);
  telemetry::FlowEvent describe(const kernel::FlowEvent& event,
                                const identity::Process& process) const;

  kernel::Interceptor& interceptor_;
  AdmissionControl& admission_;
  const identity::PodDirectory& pods_;
  telemetry::Metrics& metrics_;
  telemetry::Broadcast& trace_;
  SplicedFlows& spliced_;
  OpenFlows open_;
};

}  // namespace holdfast::agent
