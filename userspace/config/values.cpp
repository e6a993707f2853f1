#include "config/values.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <utility>

namespace holdfast::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array kDurations{Unit{"ms", 1}, Unit{"s", 1'000}, Unit{"m", 60'000},
                                Unit{"h", 3'600'000}, Unit{"d", 86'400'000}};

constexpr std::uint64_t kKi = 1024;
constexpr std::array kSizes{
    Unit{"", 1},
    Unit{"B", 1},
    Unit{"kB", 1'000},
    Unit{"KB", 1'000},
    Unit{"MB", 1'000'000},
    Unit{"GB", 1'000'000'000},
    Unit{"TB", 1'000'000'000'000},
    Unit{"Ki", kKi},
    Unit{"KiB", kKi},
    Unit{"Mi", kKi* kKi},
    Unit{"MiB", kKi* kKi},
    Unit{"Gi", kKi* kKi* kKi},
    Unit{"GiB", kKi* kKi* kKi},
    Unit{"Ti", kKi* kKi* kKi* kKi},
    Unit{"TiB", kKi* kKi* kKi* kKi},
};

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

Error invalid(std::string message) {
  return make_error(Errc::kInvalidArgument, std::move(message));
}

std::string quoted(std::string_view text) {
  return "\"" + std::string{text} + "\"";
}

/// Takes the digits at the front of `text`; nothing when there are none or too many.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

/// Takes what is not a digit.
std::string_view take_unit(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && !is_digit(text[length])) ++length;
  const auto unit = text.substr(0, length);
  text.remove_prefix(length);
  return unit;
}

template <std::size_t N>
std::optional<std::uint64_t> factor_of(const std::array<Unit, N>& units, std::string_view name) {
  for (const auto& unit : units) {
    if (unit.name == name) return unit.factor;
  }
  return std::nullopt;
}

bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > 253 || host.front() == '.' || host.front() == '-') return false;
  for (const char c : host) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && !is_digit(c) && c != '-' && c != '.' && c != '_') return false;
  }
  return host.find("..") == std::string_view::npos;
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto wrong = [whole = text] {
    return invalid(quoted(whole) +
                   " is not a duration; expected a number and ms, s, m, h or d, "
                   "such as 800ms, 10s or 30d");
  };
  if (text == "0") return std::chrono::milliseconds{0};
  constexpr std::uint64_t kMax = 100ull * 365 * 86'400'000;  // a century: beyond is a typing error
  std::uint64_t total = 0;
  std::uint64_t last_factor = std::numeric_limits<std::uint64_t>::max();
  do {
    const auto number = take_number(text);
    const auto factor = factor_of(kDurations, take_unit(text));
    // Units go down, each once: "1h30m", never "30m1h".
    if (!number || !factor || *factor >= last_factor) return wrong();
    if (*number > (kMax - total) / *factor) return invalid("is longer than 100 years");
    total += *number * *factor;
    last_factor = *factor;
  } while (!text.empty());
  return std::chrono::milliseconds{static_cast<std::int64_t>(total)};
}

Result<std::uint64_t> parse_size(std::string_view text) {
  const auto whole = text;
  const auto number = take_number(text);
  const auto factor = factor_of(kSizes, take_unit(text));
  if (!number || !factor || !text.empty()) {
    return invalid(quoted(whole) +
                   " is not a size; expected a number of bytes, such as 512MiB, 1GiB or 1000000");
  }
  if (*number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / *factor) {
    return invalid(quoted(whole) + " is too large");
  }
  return *number * *factor;
}

Result<ServerAddress> parse_server(std::string_view text) {
  const auto wrong = [whole = text] {
    return invalid(quoted(whole) + " is not a server; expected https://HOST:PORT");
  };
  constexpr std::string_view kScheme = "https://";
  if (!text.starts_with(kScheme)) return wrong();
  text.remove_prefix(kScheme.size());
  if (text.ends_with('/')) text.remove_suffix(1);

  ServerAddress server;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return wrong();
    server.host = text.substr(1, close - 1);
    in6_addr address;
    if (inet_pton(AF_INET6, server.host.c_str(), &address) != 1) return wrong();
    text.remove_prefix(close + 1);
  } else {
    const auto end = std::min(text.find(':'), text.size());
    if (!is_host_name(text.substr(0, end))) return wrong();
    server.host = text.substr(0, end);
    text.remove_prefix(end);
  }
  if (text.empty()) return server;
  if (text.front() != ':') return wrong();
  text.remove_prefix(1);
  const auto port = take_number(text);
  if (!port || !text.empty() || *port == 0 || *port > 65'535) return wrong();
  server.port = static_cast<std::uint16_t>(*port);
  return server;
}

Result<CacheKey> parse_cache_key(std::string_view text) {
  constexpr std::string_view kCommand = "command:";
  if (text.starts_with(kCommand) && text.size() > kCommand.size()) {
    return CacheKey{KeySource::kCommand, std::string{text.substr(kCommand.size())}};
  }
  constexpr std::array<std::pair<std::string_view, KeySource>, 4> kNames{
      {{"auto", KeySource::kAuto},
       {"tpm", KeySource::kTpm},
       {"file", KeySource::kFile},
       {"off", KeySource::kOff}}};
  for (const auto& [name, source] : kNames) {
    if (name == text) return CacheKey{source, {}};
  }
  return invalid(quoted(text) + " is unknown; expected auto, tpm, file, command:COMMAND or off");
}

}  // namespace holdfast::config
