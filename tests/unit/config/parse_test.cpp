#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "holdfast/config/config.h"

namespace holdfast::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Parse, EveryProblemIsListedWithItsPlace) {
  const auto parsed = parse("threads: x\nlog:\n  level: loud\n  colour: red\n", "/etc/c.yaml", {});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message,
            "/etc/c.yaml:1:10: threads: \"x\" is out of range; expected a whole number from 0 to "
            "64\n"
            "/etc/c.yaml:3:10: log.level: \"loud\" is unknown; expected one of trace, debug, info, "
            "warn, error\n"
            "/etc/c.yaml:4:3: log.colour: is unknown; expected one of level, format");
}

TEST(Parse, AListOfProblemsIsBounded) {
  std::string yaml;
  for (int i = 0; i < 1000; ++i) yaml += "k" + std::to_string(i) + ": 1\n";
  const auto parsed = parse(yaml, "c", {});
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().message, HasSubstr("… and 980 more"));
}

TEST(Parse, GarbageIsAnErrorAndNoMore) {
  for (const std::string& bad :
       {std::string(10'000, '['), std::string(10'000, '{'), std::string("\0\1\2", 3),
        std::string("\xc3\x28: 1"), std::string("&a [*a]"), std::string("%YAML 9"),
        std::string("a: &x {b: *x}"), std::string("? {a: b}\n: c"), std::string("!!binary x")}) {
    EXPECT_FALSE(parse(bad, "c", {})) << bad.substr(0, 20);
  }
}

TEST(Parse, TheNodeIsNamedByKeyThenEnvironmentThenHost) {
  EXPECT_EQ(parse("node: a", "c", {"b", "c", 1})->node, "a");
  EXPECT_EQ(parse("", "c", {"b", "c", 1})->node, "b");
  EXPECT_EQ(parse("", "c", {"", "c", 1})->node, "c");
}

TEST(Parse, ThreadsAreTheCoresAtMostFour) {
  EXPECT_EQ(parse("", "c", {"", "", 1})->threads, 1u);
  EXPECT_EQ(parse("", "c", {"", "", 64})->threads, 4u);
  EXPECT_EQ(parse("threads: 8", "c", {"", "", 2})->threads, 8u);
}

TEST(Parse, TheContractIsAGoodFileAndSaysTheDefaults) {
  const char* contract = R"(
node: ""
threads: 0
log: {level: info, format: text}
upstream:
  servers: []
  ca: ""
  kubeconfig: ""
  identities: []
  probe: {interval: 10s, suspect_interval: 2s, timeout: 1s}
intercept:
  enabled: true
  cgroup: ""
  listen: ["169.254.77.1:6443", "[fd77::1]:6443"]
  targets: []
  adopt: false
  rules: []
tls: {source: auto, cert: "", key: "", ca_cert: "", ca_key: "", lifetime: 30d}
cache:
  dir: /var/lib/holdfast
  budget: 1GiB
  key: auto
  patience: 800ms
  consistent_reads: serve
  expired_credentials: refuse
  opaque_token_ttl: 1h
  review_ttl: 60s
  share: on
  rules: []
  cache_agents: ""
lease: {policy: auto, interval: 25s, rules: []}
admin: {listen: "127.0.0.1:10267", socket: /run/holdfast/admin.sock}
)";
  const Environment environment{"n", "h", 4};
  const auto parsed = parse(contract, "c", environment);
  ASSERT_TRUE(parsed) << parsed.error().message;
  auto expected = defaults(environment);
  expected.intercept.enabled_explicitly = true;  // the one key whose default does not say it all
  EXPECT_TRUE(*parsed == expected);
}

TEST(Parse, RemembersWhetherInterceptionIsSwitchedOnInTheFile) {
  EXPECT_FALSE(parse("", "c", {})->intercept.enabled_explicitly);
  EXPECT_FALSE(parse("intercept: {enabled: false}", "c", {})->intercept.enabled_explicitly);
  EXPECT_FALSE(parse("intercept: {enabled: ~}", "c", {})->intercept.enabled_explicitly);
  const auto on = parse("intercept: {enabled: true}", "c", {});
  EXPECT_TRUE(on->intercept.enabled_explicitly);
  EXPECT_EQ(restart_needed(defaults({}), *on), std::vector<std::string>{"intercept.enabled"});
}

TEST(Parse, AliasesAreValues) {
  const auto parsed = parse("cache: {patience: &t 2s, review_ttl: *t}", "c", {});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->cache.review_ttl.count(), 2);
}

TEST(LoadFile, TellsAMissingFileFromABadOne) {
  const auto dir =
      std::filesystem::path{testing::TempDir()} / ("hf-load-" + std::to_string(getpid()));
  std::filesystem::create_directory(dir);
  const auto path = (dir / "c.yaml").string();
  EXPECT_EQ(load_file(path, {}).error().code, make_error_code(Errc::kNotFound));
  EXPECT_TRUE(load_file(dir.string(), {}).has_error());
  std::ofstream{path} << "threads: 3\n";
  EXPECT_EQ(load_file(path, {})->threads, 3u);
  std::ofstream{path} << std::string((1 << 20) + 1, '#');
  EXPECT_EQ(load_file(path, {}).error().code, make_error_code(Errc::kTooLarge));
  std::filesystem::remove_all(dir);
}

TEST(RestartNeeded, NamesTheKeys) {
  const Config running = defaults({});
  Config wanted = running;
  wanted.cache.patience += milliseconds{1};
  wanted.log.level = LogLevel::kDebug;
  EXPECT_TRUE(restart_needed(running, wanted).empty());
  wanted.threads = 9;
  wanted.tls.source = TlsSource::kCsr;
  wanted.admin.socket = "/x";
  EXPECT_THAT(restart_needed(running, wanted), ElementsAre("threads", "tls", "admin.socket"));
}

}  // namespace
}  // namespace holdfast::config
