#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "holdfast/base/result.h"
#include "holdfast/config/config.h"

/// The small grammars of single values. All fail with kInvalidArgument and a sentence.
namespace holdfast::config {

/// "800ms", "10s", "5m", "1h", "30d", "1h30m"; "0". Not negative, no fractions.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);
/// "1000000", "512MiB", "1GiB" (also Ki, Mi, Gi, Ti as Kubernetes writes them, and kB, MB, GB, TB).
Result<std::uint64_t> parse_size(std::string_view text);
/// "https://host[:port][/]"; host is a DNS name, an IPv4 address or an IPv6 address in brackets.
Result<ServerAddress> parse_server(std::string_view text);
/// "auto", "tpm", "file", "off" or "command:SOMETHING".
Result<CacheKey> parse_cache_key(std::string_view text);

}  // namespace holdfast::config
