#pragma once

#include <string_view>

namespace holdfast::telemetry {

std::string_view version();  ///< "0.1.0"
std::string_view commit();   ///< abbreviated, "-dirty" added; "unknown" outside a checkout

}  // namespace holdfast::telemetry
