// A row for each key: a good value and what it becomes, and bad values and what is said of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "holdfast/config/config.h"

namespace holdfast::config {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const Environment kEnvironment{.node_name = "edge-1", .host_name = "host", .cores = 8};

struct Good {
  const char* yaml;
  std::function<void(Config&)> expected;  ///< the change to the defaults
};

Endpoint at(const char* text) {
  return Endpoint::parse(text).value();
}

TEST(Keys, GoodValues) {
  const Good rows[] = {
      {"", [](Config&) {}},
      {"# nothing but a comment\n", [](Config&) {}},
      {"---\n", [](Config&) {}},
      {"node: gate-7", [](Config& c) { c.node = "gate-7"; }},
      {"node: \"\"", [](Config&) {}},
      {"node:", [](Config&) {}},
      {"threads: 2", [](Config& c) { c.threads = 2; }},
      {"threads: 0", [](Config&) {}},
      {"log: {level: debug}", [](Config& c) { c.log.level = LogLevel::kDebug; }},
      {"log: {level: trace}", [](Config& c) { c.log.level = LogLevel::kTrace; }},
      {"log: {level: warn}", [](Config& c) { c.log.level = LogLevel::kWarn; }},
      {"log: {level: error}", [](Config& c) { c.log.level = LogLevel::kError; }},
      {"log: {format: json}", [](Config& c) { c.log.format = LogFormat::kJson; }},
      {"upstream: {servers: [\"https://198.18.0.1:6443\", \"https://api\"]}",
       [](Config& c) {
         c.upstream.servers = {{"198.18.0.1", 6443}, {"api", 443}};
       }},
      {"upstream: {ca: /etc/ca.crt}", [](Config& c) { c.upstream.ca = "/etc/ca.crt"; }},
      {"upstream: {ca: \"\"}", [](Config&) {}},
      {"upstream: {kubeconfig: /etc/k}", [](Config& c) { c.upstream.kubeconfig = "/etc/k"; }},
      {"upstream: {identities: [{cert: /a, key: /b}]}",
       [](Config& c) {
         c.upstream.identities = {{"/a", "/b"}};
       }},
      {"upstream: {probe: {interval: 20s}}", [](Config& c) { c.upstream.probe.interval = 20s; }},
      {"upstream: {probe: {suspect_interval: 500ms}}",
       [](Config& c) { c.upstream.probe.suspect_interval = 500ms; }},
      {"upstream: {probe: {timeout: 2s}}", [](Config& c) { c.upstream.probe.timeout = 2s; }},
      {"intercept: {enabled: false}", [](Config& c) { c.intercept.enabled = false; }},
      {"intercept: {enabled: off}", [](Config& c) { c.intercept.enabled = false; }},
      {"intercept: {cgroup: /sys/fs/cgroup/unified/x}",
       [](Config& c) { c.intercept.cgroup = "/sys/fs/cgroup/unified/x"; }},
      {"intercept: {listen: [\"127.0.0.1:6443\"]}",
       [](Config& c) { c.intercept.listen = {at("127.0.0.1:6443")}; }},
      {"intercept: {targets: [\"198.18.0.1:443\", \"[fd00::1]:6443\"]}",
       [](Config& c) {
         c.intercept.targets = {at("198.18.0.1:443"), at("[fd00::1]:6443")};
       }},
      {"intercept: {adopt: true}", [](Config& c) { c.intercept.adopt = true; }},
      {"intercept: {rules: [{executable: \"*/envoy\", action: splice}, {namespace: kube-system, "
       "pod: \"cilium-*\", action: bypass}, {action: redirect}]}",
       [](Config& c) {
         c.intercept.rules = {
             {.executable = "*/envoy", .action = InterceptAction::kSplice},
             {.ns = "kube-system", .pod = "cilium-*", .action = InterceptAction::kBypass},
             {.action = InterceptAction::kRedirect}};
       }},
      {"tls: {source: csr, lifetime: 7d}",
       [](Config& c) {
         c.tls.source = TlsSource::kCsr;
         c.tls.lifetime = 7 * 24h;
       }},
      {"tls: {source: files, cert: /c, key: /k}",
       [](Config& c) {
         c.tls.source = TlsSource::kFiles;
         c.tls.cert = "/c";
         c.tls.key = "/k";
       }},
      {"tls: {source: ca, ca_cert: /c, ca_key: /k}",
       [](Config& c) {
         c.tls.source = TlsSource::kCa;
         c.tls.ca_cert = "/c";
         c.tls.ca_key = "/k";
       }},
      {"cache: {dir: /data}", [](Config& c) { c.cache.dir = "/data"; }},
      {"cache: {budget: 512MiB}", [](Config& c) { c.cache.budget = 512ull << 20; }},
      {"cache: {budget: 20000000}", [](Config& c) { c.cache.budget = 20'000'000; }},
      {"cache: {key: file}", [](Config& c) { c.cache.key.source = KeySource::kFile; }},
      {"cache: {key: off}", [](Config& c) { c.cache.key.source = KeySource::kOff; }},
      {"cache: {key: \"command:/bin/key\"}",
       [](Config& c) {
         c.cache.key = {KeySource::kCommand, "/bin/key"};
       }},
      {"cache: {patience: 2s}", [](Config& c) { c.cache.patience = 2s; }},
      {"cache: {consistent_reads: refuse}",
       [](Config& c) { c.cache.consistent_reads = ConsistentReads::kRefuse; }},
      {"cache: {expired_credentials: 24h}", [](Config& c) { c.cache.expired_grace = 24h; }},
      {"cache: {expired_credentials: refuse}", [](Config&) {}},
      {"cache: {opaque_token_ttl: 10m}", [](Config& c) { c.cache.opaque_token_ttl = 10min; }},
      {"cache: {review_ttl: 30s}", [](Config& c) { c.cache.review_ttl = 30s; }},
      {"cache: {share: off}", [](Config& c) { c.cache.share = false; }},
      {"cache: {rules: [{principal: \"system:*\", namespace: a, executable: /b, user_agent: c/*, "
       "resource: pods, verb: get, action: bypass}, {resource: secrets, action: memory}]}",
       [](Config& c) {
         c.cache.rules = {{"system:*", "a", "/b", "c/*", "pods", "get", CacheAction::kBypass},
                          {.resource = "secrets", .action = CacheAction::kMemory}};
       }},
      {"cache: {cache_agents: \"*\"}",
       [](Config& c) {
         c.cache.cache_agents = "*";
         c.cache.rules = {{.action = CacheAction::kCache}};
       }},
      {"lease: {policy: hold}", [](Config& c) { c.lease.policy = LeasePolicy::kHold; }},
      {"lease: {interval: 20s}", [](Config& c) { c.lease.interval = 20s; }},
      {"lease: {rules: [{namespace: a, name: b, holder: c, executable: d, pod: e, policy: local}]}",
       [](Config& c) {
         c.lease.rules = {{"a", "b", "c", "d", "e", LeasePolicy::kLocal}};
       }},
      {"admin: {listen: \"127.0.0.1:9\"}", [](Config& c) { c.admin.listen = at("127.0.0.1:9"); }},
      {"admin: {socket: /tmp/a.sock}", [](Config& c) { c.admin.socket = "/tmp/a.sock"; }},
  };
  for (const auto& row : rows) {
    const auto parsed = parse(row.yaml, "c.yaml", kEnvironment);
    ASSERT_TRUE(parsed) << row.yaml << "\n" << parsed.error().message;
    Config expected = defaults(kEnvironment);
    row.expected(expected);
    EXPECT_TRUE(*parsed == expected) << row.yaml;
  }
}

struct Bad {
  const char* yaml;
  const char* says;  ///< in the message, after "c.yaml:"
};

TEST(Keys, BadValues) {
  const Bad rows[] = {
      {"nodes: a", "1:1: nodes: is unknown; expected one of node, threads, log"},
      {"- a", "1:1: is not a mapping"},
      {"just text", "1:1: is not a mapping"},
      {"node: [a]", "1:7: node: is a list; expected a single value"},
      {"node: Big", "1:7: node: \"Big\" is not a node's name"},
      {"node: a\nnode: b", "2:1: node: is there twice"},
      {"a: [", "is not YAML"},
      {"--- {}\n--- {}", "has a second document"},
      {"threads: -1",
       "1:10: threads: \"-1\" is out of range; expected a whole number from 0 to 64"},
      {"threads: 65", "threads: \"65\" is out of range"},
      {"threads: 1.5", "threads: \"1.5\""},
      {"log: info", "1:6: log: is not a mapping"},
      {"log: {level: loud}",
       "1:14: log.level: \"loud\" is unknown; expected one of trace, debug, info, warn, error"},
      {"log: {format: xml}", "log.format: \"xml\" is unknown; expected one of text, json"},
      {"log: {file: x}", "1:7: log.file: is unknown; expected one of level, format"},
      {"upstream: {servers: https://a}", "upstream.servers: is not a list"},
      {"upstream:\n  servers:\n    - https://a:1\n    - http://b",
       "4:7: upstream.servers[1]: \"http://b\" is not a server; expected https://HOST:PORT"},
      {"upstream: {ca: ca.crt}", "upstream.ca: \"ca.crt\" is not an absolute path"},
      {"upstream: {kubeconfig: k}", "upstream.kubeconfig: \"k\" is not an absolute path"},
      {"upstream: {identities: [{cert: /a}]}", "upstream.identities[0]: needs both"},
      {"upstream: {identities: [{cert: /a, key: /b, x: 1}]}",
       "upstream.identities[0].x: is unknown"},
      {"upstream: {probe: {interval: 10}}",
       "upstream.probe.interval: \"10\" is not a duration; expected a number and ms, s, m, h or d"},
      {"upstream: {probe: {interval: 1ms}}", "upstream.probe.interval: is out of range"},
      {"upstream: {probe: {suspect_interval: x}}", "upstream.probe.suspect_interval: \"x\""},
      {"upstream: {probe: {timeout: 2m}}",
       "upstream.probe.timeout: is out of range; expected 50ms to 60000ms"},
      {"upstream: {probe: 10s}", "upstream.probe: is not a mapping"},
      {"intercept: {enabled: 1}", "intercept.enabled: \"1\" is neither; expected true or false"},
      {"intercept: {cgroup: x}", "intercept.cgroup: \"x\" is not an absolute path"},
      {"intercept: {listen: []}", "listen: has 0 IPv4 and 0 IPv6 addresses"},
      {"intercept: {listen: [\"127.0.0.1:1\", \"127.0.0.2:1\"]}", "listen: has 2 IPv4"},
      {"intercept: {listen: [\"127.0.0.1\"]}", "intercept.listen[0]: \"127.0.0.1\" is not an"},
      {"intercept: {targets: [\"host:1\"]}", "intercept.targets[0]: \"host:1\" is not an address"},
      {"intercept: {adopt: maybe}", "intercept.adopt: \"maybe\""},
      {"intercept: {rules: [{pod: a}]}", "intercept.rules[0]: has no \"action\""},
      {"intercept: {rules: [{pod: a, action: drop}]}",
       "intercept.rules[0].action: \"drop\" is unknown; expected one of redirect, bypass, splice"},
      {"intercept: {rules: [{pod: \"\", action: bypass}]}", "intercept.rules[0].pod: is empty"},
      {"intercept: {rules: [{user: a, action: bypass}]}", "intercept.rules[0].user: is unknown"},
      {"intercept: {rules: [bypass]}", "intercept.rules[0]"},
      {"tls: {source: magic}", "tls.source: \"magic\" is unknown; expected one of auto, files"},
      {"tls: {source: files}", "tls: source is files; expected cert and key"},
      {"tls: {source: ca}", "tls: source is ca; expected ca_cert and ca_key"},
      {"tls: {cert: /a}", "tls: cert and key go together"},
      {"tls: {ca_key: /a}", "tls: ca_cert and ca_key go together"},
      {"tls: {cert: a, key: /b}", "tls.cert: \"a\" is not an absolute path"},
      {"tls: {lifetime: 5m}", "tls.lifetime: is out of range"},
      {"cache: {dir: \"\"}", "cache.dir: \"\" is not an absolute path"},
      {"cache: {budget: lots}", "cache.budget: \"lots\" is not a size"},
      {"cache: {budget: 1}", "cache.budget: \"1\" is too small"},
      {"cache: {key: secret}", "cache.key: \"secret\" is unknown"},
      {"cache: {patience: 0}", "cache.patience: is out of range"},
      {"cache: {consistent_reads: maybe}", "cache.consistent_reads: \"maybe\" is unknown"},
      {"cache: {expired_credentials: 1500ms}", "cache.expired_credentials: \"1500ms\" is unknown"},
      {"cache: {expired_credentials: allow}", "expected refuse or whole seconds of grace"},
      {"cache: {opaque_token_ttl: 1500ms}", "cache.opaque_token_ttl: has a fraction of a second"},
      {"cache: {review_ttl: 0s}", "cache.review_ttl: is out of range; expected 1s to 3600s"},
      {"cache: {share: sometimes}", "cache.share: \"sometimes\""},
      {"cache: {rules: {a: b}}", "cache.rules: is not a list"},
      {"cache: {rules: [{action: redirect}]}",
       "cache.rules[0].action: \"redirect\" is unknown; expected one of cache, bypass, memory"},
      {"cache: {rules: [{verb: get}]}", "cache.rules[0]: has no \"action\""},
      {"cache: {rules: [{group: apps, action: cache}]}", "cache.rules[0].group: is unknown"},
      {"cache: {cache_agents: [kubelet]}", "cache.cache_agents: is a list"},
      {"cache: {cache_agents: \"a b\"}", "cache.cache_agents: \"a b\" is not an agent's name"},
      {"lease: {policy: never}", "lease.policy: \"never\" is unknown"},
      {"lease: {interval: 10ms}", "lease.interval: is out of range"},
      {"lease: {rules: [{name: a}]}", "lease.rules[0]: has no \"policy\""},
      {"lease: {rules: [{name: a, action: hold}]}", "lease.rules[0].action: is unknown"},
      {"admin: {listen: localhost}", "admin.listen: \"localhost\" is not an address"},
      {"admin: {socket: a.sock}", "admin.socket: \"a.sock\" is not a socket's path"},
      {"admin: {port: 1}", "admin.port: is unknown; expected one of listen, socket"},
  };
  for (const auto& row : rows) {
    const auto parsed = parse(row.yaml, "c.yaml", kEnvironment);
    ASSERT_FALSE(parsed) << row.yaml;
    EXPECT_EQ(parsed.error().code, make_error_code(Errc::kInvalidArgument));
    EXPECT_THAT(parsed.error().message, HasSubstr(row.says)) << row.yaml;
    EXPECT_TRUE(parsed.error().message.starts_with("c.yaml")) << parsed.error().message;
  }
}

}  // namespace
}  // namespace holdfast::config
