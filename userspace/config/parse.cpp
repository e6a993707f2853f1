#include <algorithm>
#include <optional>

#include "config/node_reader.h"
#include "config/parse_rules.h"
#include "config/values.h"
#include "holdfast/config/config.h"

namespace holdfast::config {
namespace {

using std::chrono::hours;

constexpr std::pair<std::string_view, LogLevel> kLevels[] = {{"trace", LogLevel::kTrace},
                                                             {"debug", LogLevel::kDebug},
                                                             {"info", LogLevel::kInfo},
                                                             {"warn", LogLevel::kWarn},
                                                             {"error", LogLevel::kError}};
constexpr std::pair<std::string_view, LogFormat> kFormats[] = {{"text", LogFormat::kText},
                                                               {"json", LogFormat::kJson}};
constexpr std::pair<std::string_view, TlsSource> kTlsSources[] = {{"auto", TlsSource::kAuto},
                                                                  {"files", TlsSource::kFiles},
                                                                  {"csr", TlsSource::kCsr},
                                                                  {"ca", TlsSource::kCa}};
constexpr std::pair<std::string_view, ConsistentReads> kConsistentReads[] = {
    {"serve", ConsistentReads::kServe}, {"refuse", ConsistentReads::kRefuse}};
constexpr std::pair<std::string_view, LeasePolicy> kLeasePolicies[] = {
    {"auto", LeasePolicy::kAuto},
    {"forward", LeasePolicy::kForward},
    {"hold", LeasePolicy::kHold},
    {"coalesce", LeasePolicy::kCoalesce},
    {"local", LeasePolicy::kLocal}};

/// A duration between two bounds, in whole units of `Duration`.
template <class Duration>
void read_duration(NodeReader& parent, std::string_view name, Duration& out, Duration min,
                   Duration max) {
  parent.key(name, [&](const NodeReader& node) {
    milliseconds value{};
    if (!node.value(value, parse_duration)) return;
    if (value < min || value > max) {
      const auto text = [](Duration d) {
        return std::to_string(d.count()) + (std::is_same_v<Duration, milliseconds> ? "ms" : "s");
      };
      return node.problem("is out of range; expected " + text(min) + " to " + text(max));
    }
    out = std::chrono::duration_cast<Duration>(value);
    if (value != out) node.problem("has a fraction of a second; expected whole seconds");
  });
}

/// An absolute path. Relative ones would depend on where the agent was started.
void read_path(NodeReader& parent, std::string_view name, std::string& out, bool required = false) {
  parent.key(name, [&](const NodeReader& node) {
    std::string raw;
    if (!node.text(raw)) return;
    if (raw.empty() ? required : raw.front() != '/') {
      return node.problem("\"" + raw + "\" is not an absolute path; expected /…");
    }
    out = std::move(raw);
  });
}

Result<Endpoint> parse_endpoint(std::string_view raw) {
  auto parsed = Endpoint::parse(raw);
  if (parsed) return parsed;
  return make_error(Errc::kInvalidArgument,
                    "\"" + std::string{raw} +
                        "\" is not an address; expected IP:PORT, such as 198.18.0.1:443 or "
                        "[fd00::1]:443");
}

void read_endpoints(NodeReader& parent, std::string_view name, std::vector<Endpoint>& out) {
  parent.key(name, [&](const NodeReader& list) {
    out.clear();
    list.items([&](const NodeReader& node) {
      Endpoint endpoint;
      node.value(endpoint, parse_endpoint);
      out.push_back(endpoint);
    });
  });
}

void read_upstream(NodeReader& node, Upstream& out) {
  node.key("servers", [&](const NodeReader& list) {
    list.items([&](const NodeReader& item) {
      ServerAddress server;
      item.value(server, parse_server);
      out.servers.push_back(std::move(server));
    });
  });
  read_path(node, "ca", out.ca);
  read_path(node, "kubeconfig", out.kubeconfig);
  node.key("identities", [&](const NodeReader& list) {
    list.items([&](NodeReader item) {
      KeyPair pair;
      read_path(item, "cert", pair.cert, true);
      read_path(item, "key", pair.key, true);
      item.finish();
      if (pair.cert.empty() || pair.key.empty()) {
        item.problem("needs both; expected {cert: FILE, key: FILE}");
      }
      out.identities.push_back(std::move(pair));
    });
  });
  section(node, "probe", [&](NodeReader& probe) {
    read_duration(probe, "interval", out.probe.interval, milliseconds{100}, milliseconds{hours{1}});
    read_duration(probe, "suspect_interval", out.probe.suspect_interval, milliseconds{100},
                  milliseconds{hours{1}});
    read_duration(probe, "timeout", out.probe.timeout, milliseconds{50}, milliseconds{60'000});
  });
}

void read_intercept(NodeReader& node, Intercept& out) {
  node.key("enabled", [&](const NodeReader& n) {
    n.flag(out.enabled);
    out.enabled_explicitly = out.enabled;
  });
  read_path(node, "cgroup", out.cgroup);
  read_endpoints(node, "listen", out.listen);
  read_endpoints(node, "targets", out.targets);
  node.key("adopt", [&](const NodeReader& n) { n.flag(out.adopt); });
  node.key("rules", [&](const NodeReader& list) { read_intercept_rules(list, out.rules); });
  if (std::any_of(out.listen.begin(), out.listen.end(),
                  [](const Endpoint& e) { return e.port == 0; })) {
    return;  // reported already
  }
  const auto v4 = std::count_if(out.listen.begin(), out.listen.end(),
                                [](const Endpoint& e) { return e.is_v4(); });
  const auto v6 = std::ssize(out.listen) - v4;
  // The connect hooks know one address to rewrite to for each family.
  if (out.listen.empty() || v4 > 1 || v6 > 1) {
    node.problem("listen: has " + std::to_string(v4) + " IPv4 and " + std::to_string(v6) +
                 " IPv6 addresses; expected one of either or of each");
  }
}

void read_tls(NodeReader& node, Tls& out) {
  node.key("source", [&](const NodeReader& n) { n.choice(out.source, kTlsSources); });
  read_path(node, "cert", out.cert);
  read_path(node, "key", out.key);
  read_path(node, "ca_cert", out.ca_cert);
  read_path(node, "ca_key", out.ca_key);
  // A kubelet-serving CSR may not ask for less than ten minutes (certificates.k8s.io validation).
  read_duration(node, "lifetime", out.lifetime, seconds{600}, seconds{hours{24 * 366}});
  if (out.cert.empty() != out.key.empty()) node.problem("cert and key go together; expected both");
  if (out.ca_cert.empty() != out.ca_key.empty()) {
    node.problem("ca_cert and ca_key go together; expected both");
  }
  if (out.source == TlsSource::kFiles && out.cert.empty()) {
    node.problem("source is files; expected cert and key");
  }
  if (out.source == TlsSource::kCa && out.ca_cert.empty()) {
    node.problem("source is ca; expected ca_cert and ca_key");
  }
}

void read_cache(NodeReader& node, Cache& out) {
  read_path(node, "dir", out.dir, true);
  node.key("budget", [&](const NodeReader& n) {
    n.value(out.budget, [](std::string_view raw) -> Result<std::uint64_t> {
      auto size = parse_size(raw);
      // With less the store can't keep within it: cache::Kv::kMinBudget.
      if (size && *size < (std::uint64_t{16} << 20)) {
        return make_error(Errc::kInvalidArgument,
                          "\"" + std::string{raw} + "\" is too small; expected 16MiB or more");
      }
      return size;
    });
  });
  node.key("key", [&](const NodeReader& n) { n.value(out.key, parse_cache_key); });
  read_duration(node, "patience", out.patience, milliseconds{10}, milliseconds{60'000});
  node.key("consistent_reads",
           [&](const NodeReader& n) { n.choice(out.consistent_reads, kConsistentReads); });
  node.key("expired_credentials", [&](const NodeReader& n) {
    n.value(out.expired_grace, [](std::string_view raw) -> Result<seconds> {
      if (raw == "refuse") return seconds{0};
      const auto grace = parse_duration(raw);
      if (!grace || *grace < seconds{1} || *grace % seconds{1} != milliseconds{0}) {
        return make_error(Errc::kInvalidArgument,
                          "\"" + std::string{raw} +
                              "\" is unknown; expected refuse or whole seconds of grace, such as "
                              "24h");
      }
      return std::chrono::duration_cast<seconds>(*grace);
    });
  });
  read_duration(node, "opaque_token_ttl", out.opaque_token_ttl, seconds{0},
                seconds{hours{24 * 366}});
  read_duration(node, "review_ttl", out.review_ttl, seconds{1}, seconds{hours{1}});
  node.key("share", [&](const NodeReader& n) { n.flag(out.share); });
  node.key("rules", [&](const NodeReader& list) { read_cache_rules(list, out.rules); });
  node.key("cache_agents", [&](const NodeReader& n) {
    if (!n.text(out.cache_agents)) return;
    auto rules = parse_cache_agents(out.cache_agents);
    if (!rules) return n.problem(rules.error().message);
    // The file's own rules come first: they say more.
    out.rules.insert(out.rules.end(), rules->begin(), rules->end());
  });
}

void read_admin(NodeReader& node, Admin& out) {
  node.key("listen", [&](const NodeReader& n) { n.value(out.listen, parse_endpoint); });
  node.key("socket", [&](const NodeReader& n) {
    std::string raw;
    if (!n.text(raw)) return;
    // sun_path holds 108 bytes with the terminating zero.
    if (!raw.starts_with('/') || raw.size() > 107) {
      return n.problem("\"" + raw + "\" is not a socket's path; expected /…, at most 107 bytes");
    }
    out.socket = std::move(raw);
  });
}

void read_config(NodeReader& root, Config& out) {
  root.key("node", [&](const NodeReader& n) {
    std::string raw;
    if (!n.text(raw) || raw.empty()) return;
    // Node names are DNS-1123 subdomains (apimachinery validation).
    const bool good =
        raw.size() <= 253 && std::all_of(raw.begin(), raw.end(), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
        });
    if (!good) return n.problem("\"" + raw + "\" is not a node's name; expected lower case");
    out.node = std::move(raw);
  });
  root.key("threads", [&](const NodeReader& n) {
    unsigned threads = 0;
    n.number(threads, 0, 64);
    if (threads != 0) out.threads = threads;
  });
  section(root, "log", [&](NodeReader& n) {
    n.key("level", [&](const NodeReader& v) { v.choice(out.log.level, kLevels); });
    n.key("format", [&](const NodeReader& v) { v.choice(out.log.format, kFormats); });
  });
  section(root, "upstream", [&](NodeReader& n) { read_upstream(n, out.upstream); });
  section(root, "intercept", [&](NodeReader& n) { read_intercept(n, out.intercept); });
  section(root, "tls", [&](NodeReader& n) { read_tls(n, out.tls); });
  section(root, "cache", [&](NodeReader& n) { read_cache(n, out.cache); });
  section(root, "lease", [&](NodeReader& n) {
    n.key("policy", [&](const NodeReader& v) { v.choice(out.lease.policy, kLeasePolicies); });
    read_duration(n, "interval", out.lease.interval, milliseconds{1'000}, milliseconds{hours{1}});
    n.key("rules", [&](const NodeReader& list) { read_lease_rules(list, out.lease.rules); });
  });
  section(root, "admin", [&](NodeReader& n) { read_admin(n, out.admin); });
  root.finish();
}

}  // namespace

Result<Config> parse(std::string_view yaml, std::string_view source_name,
                     const Environment& environment) {
  Problems problems{source_name};
  Config config = defaults(environment);
  try {
    const auto documents = YAML::LoadAll(std::string{yaml});
    if (documents.size() > 1) {
      problems.add(documents[1].Mark(), "", "has a second document; expected one");
    }
    if (!documents.empty() && !documents[0].IsNull()) {
      NodeReader root{documents[0], "", problems};
      read_config(root, config);
    }
  } catch (const YAML::Exception& e) {
    problems.add(e.mark, "", "is not YAML: " + e.msg);
  }
  if (!problems.empty()) return problems.error();
  return config;
}

}  // namespace holdfast::config
