#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::telemetry {

/// RFC 3339 in UTC with microseconds: "2026-01-02T03:04:05.678901Z".
std::string to_rfc3339(std::chrono::system_clock::time_point time);
std::optional<std::chrono::system_clock::time_point> from_rfc3339(std::string_view text);

}  // namespace holdfast::telemetry
