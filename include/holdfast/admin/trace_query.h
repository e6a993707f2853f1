#pragma once

#include <string>
#include <string_view>

#include "holdfast/base/result.h"
#include "holdfast/telemetry/trace_event.h"

namespace holdfast::admin {

/// "/v1/trace?kind=flow&pod=…" for a filter, and back. kInvalidArgument names an unknown key or
/// kind, or malformed percent-encoding.
std::string to_target(const telemetry::TraceFilter& filter);
Result<telemetry::TraceFilter> parse_trace_query(std::string_view query);

}  // namespace holdfast::admin
