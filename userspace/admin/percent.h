#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::admin {

/// A query's value. Decoding fails on a broken escape.
std::string percent_encode(std::string_view text);
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace holdfast::admin
