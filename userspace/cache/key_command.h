#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast::cache {

/// `cache.key: command:…`: runs it with /bin/sh and takes what it prints. No error holds any of its
/// output. kTimeout when it takes longer than `limit` (it is killed) or prints more than 4 KiB,
/// kUnavailable when it fails or prints no key.
Result<std::string> key_from_command(const std::string& command, std::chrono::milliseconds limit);

/// 32 bytes: as they are, as 64 hex digits or in base64, these with or without a line's end.
std::optional<std::string> parse_key(std::string_view text);

}  // namespace holdfast::cache
