#include "holdfast/kernel/flow_event.h"
#include "holdfast/kernel/types.h"

namespace holdfast::kernel {

std::string_view to_string(Action action) {
  switch (action) {
    case Action::kRedirect:
      return "redirect";
    case Action::kBypass:
      return "bypass";
    case Action::kSplice:
      return "splice";
  }
  return "none";
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kRedirected:
      return "redirected";
    case Verdict::kSpliced:
      return "spliced";
    case Verdict::kDirect:
      return "direct";
  }
  return "unknown";
}

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::kNone:
      return "none";
    case Reason::kHeartbeatStale:
      return "heartbeat_stale";
    case Reason::kOwnTraffic:
      return "own_traffic";
    case Reason::kNetnsDenied:
      return "netns_denied";
    case Reason::kNetnsIsolated:
      return "netns_isolated";
    case Reason::kCircuitOpen:
      return "circuit_open";
    case Reason::kRuleBypass:
      return "rule_bypass";
    case Reason::kNoListener:
      return "no_listener";
    case Reason::kRecordFailed:
      return "record_failed";
  }
  return "unknown";
}

std::string_view to_string(NetnsVerdict verdict) {
  switch (verdict) {
    case NetnsVerdict::kUnknown:
      return "unknown";
    case NetnsVerdict::kAdmitted:
      return "admitted";
    case NetnsVerdict::kDenied:
      return "denied";
    case NetnsVerdict::kIsolated:
      return "isolated";
  }
  return "unknown";
}

std::string_view to_string(Failure failure) {
  switch (failure) {
    case Failure::kNone:
      return "none";
    case Failure::kUnroutable:
      return "unroutable";
    case Failure::kRefused:
      return "refused";
    case Failure::kSynLost:
      return "syn_lost";
    case Failure::kReset:
      return "reset";
    case Failure::kUnclaimed:
      return "unclaimed";
    case Failure::kGaveUp:
      return "gave_up";
  }
  return "unknown";
}

std::string_view to_string(FlowKind kind) {
  switch (kind) {
    case FlowKind::kConnect:
      return "connect";
    case FlowKind::kEstablished:
      return "established";
    case FlowKind::kClosed:
      return "closed";
    case FlowKind::kCircuitOpened:
      return "circuit_opened";
  }
  return "unknown";
}

}  // namespace holdfast::kernel
