#include "admin/units.h"

#include <algorithm>
#include <cstdio>

namespace holdfast::admin {

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string span_text(std::chrono::system_clock::duration span) {
  auto left =
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(span).count());
  struct Unit {
    std::int64_t seconds;
    const char* name;
  };
  constexpr Unit kUnits[] = {{86'400, "d"}, {3'600, "h"}, {60, "min"}, {1, "s"}};
  std::string text;
  int shown = 0;
  for (const auto& unit : kUnits) {
    const auto count = left / unit.seconds;
    left %= unit.seconds;
    if (count == 0 && shown == 0 && unit.seconds != 1) continue;
    if (count != 0 || shown == 0) {
      text += (text.empty() ? "" : " ") + std::to_string(count) + " " + unit.name;
    }
    if (++shown == 2) break;
  }
  return text;
}

std::string ago_text(std::optional<std::chrono::system_clock::time_point> then,
                     std::chrono::system_clock::time_point now) {
  return then ? span_text(now - *then) + " ago" : "never";
}

}  // namespace holdfast::admin
