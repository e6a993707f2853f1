#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

/// Percent-encoding (RFC 3986 §2.1) of a query's value.
std::string percent_encode(std::string_view text);
/// Empty on a broken escape. `plus_is_space`: as in a query (net/url.QueryUnescape), not in a path.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

}  // namespace holdfast
