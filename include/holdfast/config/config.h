#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/result.h"
#include "holdfast/config/rules.h"

/// The configuration file of docs/configuration.md, typed. Every value here is checked and every
/// default filled in: nobody else looks at YAML.
namespace holdfast::config {

using std::chrono::milliseconds;
using std::chrono::seconds;

enum class LogLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarn, kError };
enum class LogFormat : std::uint8_t { kText, kJson };
struct Log {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  bool operator==(const Log&) const = default;
};

/// https://HOST:PORT, HOST being a name or an address (IPv6 without brackets).
struct ServerAddress {
  std::string host;
  std::uint16_t port = 443;
  [[nodiscard]] std::string to_string() const;  ///< "https://[fd77::1]:6443"
  bool operator==(const ServerAddress&) const = default;
};
/// A client key pair on this node's disk.
struct KeyPair {
  std::string cert, key;
  bool operator==(const KeyPair&) const = default;
};
struct Probe {
  milliseconds interval{10'000};
  milliseconds suspect_interval{2'000};
  milliseconds timeout{1'000};
  bool operator==(const Probe&) const = default;
};
struct Upstream {
  std::vector<ServerAddress> servers;  ///< empty: discovered
  std::string ca;                      ///< empty: discovered
  std::string kubeconfig;              ///< empty: in-cluster, then the kubelet's
  std::vector<KeyPair> identities;
  Probe probe;
  bool operator==(const Upstream&) const = default;
};

struct Intercept {
  bool enabled = true;
  bool enabled_explicitly = false;  ///< `true` stands in the file: control-plane nodes want that
  std::string cgroup;               ///< empty: the cgroup2 root
  std::vector<Endpoint> listen;
  std::vector<Endpoint> targets;  ///< beside the discovered ones
  bool adopt = false;
  std::vector<InterceptRule> rules;
  bool operator==(const Intercept&) const = default;
};

enum class TlsSource : std::uint8_t { kAuto, kFiles, kCsr, kCa };
struct Tls {
  TlsSource source = TlsSource::kAuto;
  std::string cert, key;        ///< both or none; needed by kFiles
  std::string ca_cert, ca_key;  ///< both or none; needed by kCa
  seconds lifetime{30 * 86'400};
  bool operator==(const Tls&) const = default;
};

enum class KeySource : std::uint8_t { kAuto, kTpm, kFile, kCommand, kOff };
struct CacheKey {
  KeySource source = KeySource::kAuto;
  std::string command;                          ///< kCommand
  [[nodiscard]] std::string to_string() const;  ///< as in the file: "auto", "command:…"
  bool operator==(const CacheKey&) const = default;
};
enum class ConsistentReads : std::uint8_t { kServe, kRefuse };
struct Cache {
  std::string dir = "/var/lib/holdfast";
  std::uint64_t budget = std::uint64_t{1} << 30;  ///< bytes on disk
  CacheKey key;
  milliseconds patience{800};
  ConsistentReads consistent_reads = ConsistentReads::kServe;
  seconds expired_grace{0};  ///< cache.expired_credentials; 0: refuse
  seconds opaque_token_ttl{3'600};
  seconds review_ttl{60};
  bool share = true;
  std::vector<CacheRule> rules;  ///< those that cache_agents stands for are at the end
  std::string cache_agents;      ///< as written
  bool operator==(const Cache&) const = default;
};

struct Lease {
  LeasePolicy policy = LeasePolicy::kAuto;
  milliseconds interval{25'000};
  std::vector<LeaseRule> rules;
  bool operator==(const Lease&) const = default;
};

struct Admin {
  Endpoint listen;
  std::string socket = "/run/holdfast/admin.sock";
  bool operator==(const Admin&) const = default;
};

struct Config {
  std::string node;      ///< resolved: the key, then $NODE_NAME, then the host name
  unsigned threads = 1;  ///< resolved: 1…64
  Log log;
  Upstream upstream;
  Intercept intercept;
  Tls tls;
  Cache cache;
  Lease lease;
  Admin admin;
  bool operator==(const Config&) const = default;
};

/// What the defaults of `node` and `threads` come from.
struct Environment {
  std::string node_name;  ///< $NODE_NAME
  std::string host_name;
  unsigned cores = 1;
  static Environment of_process();
};

/// What an empty file means.
Config defaults(const Environment& environment);

/// Checks the whole text and takes it whole or not at all. On failure (kInvalidArgument) the
/// message lists up to 20 problems, a line each, in the form
/// "SOURCE:LINE:COLUMN: key.path: what is wrong; what is expected".
Result<Config> parse(std::string_view yaml, std::string_view source_name,
                     const Environment& environment = Environment::of_process());

/// Reads at most 1 MiB and parses it. kNotFound when there is no such file.
Result<Config> load_file(const std::string& path,
                         const Environment& environment = Environment::of_process());

/// The keys that differ and take effect only at the next start ("intercept.listen", …).
std::vector<std::string> restart_needed(const Config& running, const Config& wanted);

}  // namespace holdfast::config
