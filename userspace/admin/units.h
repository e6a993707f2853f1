#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace holdfast::admin {

/// "512.0 MiB".
std::string bytes_text(std::uint64_t bytes);
/// "3 d 4 h", "12 s"; the two largest units.
std::string span_text(std::chrono::system_clock::duration span);
/// "12 s ago", "never".
std::string ago_text(std::optional<std::chrono::system_clock::time_point> then,
                     std::chrono::system_clock::time_point now);

}  // namespace holdfast::admin
