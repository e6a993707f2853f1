#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace holdfast::telemetry {

enum class MetricType : std::uint8_t { kCounter, kGauge, kHistogram };

/// One row of the catalogue: the only place that knows a metric's name. docs/metrics.md is checked
/// against it by a test.
struct MetricInfo {
  std::string_view name;
  MetricType type;
  std::string_view help;
  std::array<std::string_view, 4> labels{};  ///< names; "" from the first unused one on
};

/// Everything that /metrics can show, in the order in which it does. A metric without a value yet
/// is left out of the text.
std::span<const MetricInfo> catalogue();

std::string_view to_string(MetricType type);

}  // namespace holdfast::telemetry
