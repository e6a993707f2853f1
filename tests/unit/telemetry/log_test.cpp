#include "holdfast/telemetry/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "telemetry/log_format.h"

namespace holdfast::telemetry {
namespace {

using config::LogFormat;
using testing::HasSubstr;
using testing::Not;

const std::string kJwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrOHMifQ.c2lnbmF0dXJlLWhlcmU";

std::string line(LogFormat format, std::string_view message, std::initializer_list<Field> fields) {
  return format_line(format, "T", "info", format_payload(message, fields));
}

TEST(Log, Text) {
  EXPECT_EQ(line(LogFormat::kText, "link is down", {}), "T info link is down\n");
  EXPECT_EQ(line(LogFormat::kText, "link", {{"to", "offline"}, {"after_ms", 3000}, {"x", true}}),
            "T info link to=offline after_ms=3000 x=true\n");
  EXPECT_EQ(line(LogFormat::kText, "m", {{"k", "two words"}, {"e", ""}, {"q", "a\"b"}}),
            "T info m k=\"two words\" e=\"\" q=\"a\\\"b\"\n");
}

TEST(Log, Json) {
  const auto json = nlohmann::json::parse(
      line(LogFormat::kJson, "a \"b\"\n", {{"to", "x\ny"}, {"n", 3}, {"b", false}}));
  EXPECT_EQ(json["message"], "a \"b\"\n");
  EXPECT_EQ(json["to"], "x\ny");
  EXPECT_EQ(json["n"], 3);
  EXPECT_EQ(json["b"], false);
  EXPECT_EQ(json["level"], "info");
}

TEST(Log, OneEventIsOneLine) {
  for (const auto format : {LogFormat::kText, LogFormat::kJson}) {
    const auto text = line(format, "a\nb\x1b[2J", {{"k", "c\nd\x1e\x1f"}, {"f", "\xff"}});
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  }
}

TEST(Log, AFieldCannotForgeAnother) {
  const auto json = nlohmann::json::parse(line(LogFormat::kJson, "m",
                                               {{"user",
                                                 "x\x1f"
                                                 "admin=true\x1e"}}));
  EXPECT_FALSE(json.contains("admin"));
}

TEST(Log, NeverShowsAToken) {
  for (const auto format : {LogFormat::kText, LogFormat::kJson}) {
    const auto text = line(format, "Authorization: Bearer abc.def-ghi", {{"token", kJwt}});
    EXPECT_THAT(text, Not(HasSubstr("abc.def")));
    EXPECT_THAT(text, Not(HasSubstr("eyJ")));
    EXPECT_THAT(text, HasSubstr("[redacted]"));
  }
}

TEST(Redact, WhatIsSecret) {
  const std::pair<std::string, std::string> rows[] = {
      {"", ""},
      {"nothing here", "nothing here"},
      {"Bearer abc", "Bearer [redacted]"},
      {"bearer  abc, next", "bearer  [redacted], next"},
      {"BEARER\tabc", "BEARER\t[redacted]"},
      {"the bearer", "the bearer"},
      {kJwt, "[redacted]"},
      {"x=" + kJwt + ";", "x=[redacted];"},
      {"id" + kJwt, "id[redacted]"},
      {"eyJshort", "eyJshort"},
      {"a -----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY----- b", "a [redacted] b"},
      {"-----BEGIN PRIVATE KEY-----\nabc", "[redacted]"},
      {"-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"},
  };
  for (const auto& [text, expected] : rows) EXPECT_EQ(redact(text), expected);
}

}  // namespace
}  // namespace holdfast::telemetry
