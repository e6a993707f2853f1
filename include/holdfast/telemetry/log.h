#pragma once

#include <spdlog/common.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "holdfast/config/config.h"

namespace holdfast::telemetry {

/// Makes spdlog's default logger write to stderr, one line per message, in the given format. Every
/// line passes through `redact`. May be called again after a reload; thread-safe.
void setup_logging(const config::Log& options);

/// A key and its value in a structured line. Numbers are written without quotes.
struct Field {
  Field(std::string_view k, std::string_view v) : key{k}, value{v}, quoted{true} {}
  Field(std::string_view k, const char* v) : Field{k, std::string_view{v}} {}
  Field(std::string_view k, const std::string& v) : Field{k, std::string_view{v}} {}
  Field(std::string_view k, bool v) : key{k}, value{v ? "true" : "false"}, quoted{false} {}
  template <class Number>
  requires std::is_arithmetic_v<Number> Field(std::string_view k, Number v)
      : key{k}, value{std::to_string(v)}, quoted{false} {}

  std::string_view key;
  std::string value;
  bool quoted;
};

/// One line for one state change: `message key=value …`, or a JSON object with these keys. Not for
/// the data path.
void log(spdlog::level::level_enum level, std::string_view message,
         std::initializer_list<Field> fields = {});

/// `text` with bearer tokens, JWTs and PEM private keys replaced by "[redacted]".
std::string redact(std::string_view text);

}  // namespace holdfast::telemetry
