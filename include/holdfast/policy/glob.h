#pragma once

#include <string_view>

namespace holdfast::policy {

/// True when `pattern` matches the whole of `text`: `*` is any run of bytes (also none), `?` any
/// one byte, all else itself. Worst case |pattern| · |text| steps, no recursion, no allocation.
bool glob_match(std::string_view pattern, std::string_view text) noexcept;

/// The same without regard to the case of ASCII letters.
bool glob_match_nocase(std::string_view pattern, std::string_view text) noexcept;

}  // namespace holdfast::policy
