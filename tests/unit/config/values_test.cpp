#include "config/values.h"

#include <gtest/gtest.h>

namespace holdfast::config {
namespace {

TEST(Values, Durations) {
  const std::pair<const char*, std::int64_t> good[] = {{"0", 0},
                                                       {"0s", 0},
                                                       {"800ms", 800},
                                                       {"10s", 10'000},
                                                       {"5m", 300'000},
                                                       {"1h", 3'600'000},
                                                       {"30d", 2'592'000'000},
                                                       {"1h30m", 5'400'000},
                                                       {"1d1ms", 86'400'001}};
  for (const auto& [text, expected] : good) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->count(), expected) << text;
  }
  for (const char* bad : {"", "s", "10", "-1s", "1.5s", "10 s", " 10s", "10s ", "10S", "30m1h",
                          "1s1s", "10sec", "99999999999999999999s", "36501d", "1e3s", "0x1s"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
}

TEST(Values, Sizes) {
  const std::pair<const char*, std::uint64_t> good[] = {{"0", 0},
                                                        {"1000000", 1'000'000},
                                                        {"1B", 1},
                                                        {"512MiB", 512ull << 20},
                                                        {"1GiB", 1ull << 30},
                                                        {"1Gi", 1ull << 30},
                                                        {"2TiB", 2ull << 40},
                                                        {"3kB", 3'000},
                                                        {"1GB", 1'000'000'000},
                                                        {"7Ki", 7 * 1024}};
  for (const auto& [text, expected] : good) {
    const auto parsed = parse_size(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, expected) << text;
  }
  for (const char* bad : {"", "GiB", "-1", "1.5GiB", "1 GiB", "1gib", "1GiB1",
                          "9223372036854775808", "8388608TiB", "99999999999999999999"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
}

TEST(Values, Servers) {
  const std::pair<const char*, const char*> good[] = {
      {"https://198.18.0.1:6443", "https://198.18.0.1:6443"},
      {"https://198.18.0.1", "https://198.18.0.1:443"},
      {"https://api.example.org:443/", "https://api.example.org:443"},
      {"https://[fd77::1]:6443", "https://[fd77::1]:6443"},
      {"https://[fd77::1]", "https://[fd77::1]:443"}};
  for (const auto& [text, expected] : good) {
    const auto parsed = parse_server(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->to_string(), expected);
  }
  for (const char* bad :
       {"", "http://a:1", "https://", "https://a:0", "https://a:65536", "https://a:x",
        "https://a/path", "https://u@a", "https://[a]:1", "https://[::1", "https://[::1]x", "a:443",
        "https://a b", "https://..", "https://a:1:2", "https://-a"}) {
    EXPECT_FALSE(parse_server(bad)) << bad;
  }
}

TEST(Values, CacheKeysRoundTrip) {
  for (const char* text : {"auto", "tpm", "file", "off", "command:/bin/get-key --slot 1"}) {
    const auto parsed = parse_cache_key(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->to_string(), text);
  }
  for (const char* bad : {"", "command:", "Auto", "file:/x"}) {
    EXPECT_FALSE(parse_cache_key(bad)) << bad;
  }
}

}  // namespace
}  // namespace holdfast::config
