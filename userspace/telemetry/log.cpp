#include "holdfast/telemetry/log.h"

#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "holdfast/telemetry/time_text.h"
#include "telemetry/log_format.h"

namespace holdfast::telemetry {
namespace {

// Between the fields of a payload, so that one formatter can take it apart again and ordinary
// spdlog calls go through the same one. Control characters of values are escaped by both.
constexpr char kFieldMark = '\x1f';
constexpr char kRawMark = '\x1e';  // before a value that is written without quotes

struct Part {
  std::string_view key, value;
  bool quoted = true;
};

/// Calls `each` for the fields; returns the message.
template <class Each>
std::string_view take_apart(std::string_view payload, Each each) {
  const auto end = std::min(payload.find(kFieldMark), payload.size());
  const auto message = payload.substr(0, end);
  for (payload.remove_prefix(end); !payload.empty();) {
    payload.remove_prefix(1);
    const auto stop = std::min(payload.find(kFieldMark), payload.size());
    const auto field = payload.substr(0, stop);
    payload.remove_prefix(stop);
    const auto equals = std::min(field.find('='), field.size());
    Part part{field.substr(0, equals), field.substr(std::min(equals + 1, field.size()))};
    if (part.value.starts_with(kRawMark)) {
      part.quoted = false;
      part.value.remove_prefix(1);
    }
    each(part);
  }
  return message;
}

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=' || c == 0x7f) return true;
  }
  return false;
}

std::string json_string(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// One line is one event: no line breaks or escape sequences from what someone else wrote.
std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "; ";
    } else {
      out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
  }
  return out;
}

class LineFormatter final : public spdlog::formatter {
 public:
  explicit LineFormatter(config::LogFormat format) : format_{format} {}
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto level = spdlog::level::to_string_view(message.level);
    const auto line = format_line(format_, to_rfc3339(message.time), {level.data(), level.size()},
                                  {message.payload.data(), message.payload.size()});
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(format_);
  }

 private:
  config::LogFormat format_;
};

spdlog::level::level_enum level_of(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::kTrace:
      return spdlog::level::trace;
    case config::LogLevel::kDebug:
      return spdlog::level::debug;
    case config::LogLevel::kInfo:
      return spdlog::level::info;
    case config::LogLevel::kWarn:
      return spdlog::level::warn;
    case config::LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

std::string format_payload(std::string_view message, std::initializer_list<Field> fields) {
  const auto clean = [](std::string_view text) {
    std::string out{text};
    for (char& c : out) {
      if (c == kFieldMark || c == kRawMark) c = '?';
    }
    return out;
  };
  std::string payload = clean(message);
  for (const auto& field : fields) {
    payload += kFieldMark;
    payload += field.key;
    payload += '=';
    if (!field.quoted) payload += kRawMark;
    payload += clean(field.value);
  }
  return payload;
}

std::string format_line(config::LogFormat format, std::string_view time, std::string_view level,
                        std::string_view payload) {
  std::string fields;
  std::string line;
  if (format == config::LogFormat::kJson) {
    const auto message = take_apart(payload, [&](const Part& part) {
      fields += "," + json_string(part.key) + ":" +
                (part.quoted ? json_string(redact(part.value)) : std::string{part.value});
    });
    line = "{\"time\":" + json_string(time) + ",\"level\":" + json_string(level) +
           ",\"message\":" + json_string(redact(message)) + fields + "}\n";
  } else {
    const auto message = take_apart(payload, [&](const Part& part) {
      const auto value = redact(part.value);
      fields += " " + std::string{part.key} + "=" +
                (part.quoted && needs_quotes(value) ? json_string(value) : value);
    });
    line = std::string{time} + " " + std::string{level} + " " + one_line(redact(message)) + fields +
           "\n";
  }
  return line;
}

void setup_logging(const config::Log& options) {
  auto logger = std::make_shared<spdlog::logger>("holdfast",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(std::make_unique<LineFormatter>(options.format));
  logger->set_level(level_of(options.level));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

void log(spdlog::level::level_enum level, std::string_view message,
         std::initializer_list<Field> fields) {
  const auto logger = spdlog::default_logger();
  if (!logger->should_log(level)) return;
  logger->log(level, spdlog::string_view_t{format_payload(message, fields)});
}

}  // namespace holdfast::telemetry
