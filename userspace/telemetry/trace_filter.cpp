#include "holdfast/telemetry/trace_event.h"

namespace holdfast::telemetry {
namespace {

bool process_matches(const std::string& wanted, std::uint32_t pid, const std::string& comm,
                     const std::string& executable) {
  if (wanted.empty() || wanted == comm || wanted == executable) return true;
  if (pid != 0 && wanted == std::to_string(pid)) return true;
  return wanted == executable.substr(executable.rfind('/') + 1);
}

bool pod_matches(const TraceFilter& filter, const std::optional<PodRef>& pod) {
  if (filter.pod.empty() && filter.ns.empty()) return true;
  if (!pod) return false;
  return (filter.pod.empty() || filter.pod == pod->name) &&
         (filter.ns.empty() || filter.ns == pod->ns);
}

}  // namespace

bool TraceFilter::matches(const TraceEvent& event) const {
  if (const auto* flow = std::get_if<FlowEvent>(&event)) {
    return kind != Kind::kRequest && (verdict.empty() || verdict == to_string(flow->verdict)) &&
           pod_matches(*this, flow->pod) &&
           process_matches(process, flow->pid, flow->comm, flow->executable);
  }
  const auto& request = std::get<RequestEvent>(event);
  return kind != Kind::kFlow && (verdict.empty() || verdict == to_string(request.source)) &&
         pod_matches(*this, request.pod) &&
         process_matches(process, request.pid, request.comm, request.executable);
}

}  // namespace holdfast::telemetry
