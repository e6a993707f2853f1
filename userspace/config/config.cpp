#include "holdfast/config/config.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <thread>
#include <utility>

#include "config/file.h"

namespace holdfast::config {

std::string ServerAddress::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return "https://" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string CacheKey::to_string() const {
  switch (source) {
    case KeySource::kAuto:
      return "auto";
    case KeySource::kTpm:
      return "tpm";
    case KeySource::kFile:
      return "file";
    case KeySource::kOff:
      return "off";
    case KeySource::kCommand:
      break;
  }
  return "command:" + command;
}

Environment Environment::of_process() {
  Environment environment;
  if (const char* name = std::getenv("NODE_NAME")) environment.node_name = name;
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) == 0) environment.host_name = host.data();
  environment.cores = std::max(1u, std::thread::hardware_concurrency());
  return environment;
}

Config defaults(const Environment& environment) {
  Config config;
  config.node = environment.node_name.empty() ? environment.host_name : environment.node_name;
  config.threads = std::clamp(environment.cores, 1u, 4u);
  config.intercept.listen = {Endpoint::parse("169.254.77.1:6443").value(),
                             Endpoint::parse("[fd77::1]:6443").value()};
  config.admin.listen = Endpoint::parse("127.0.0.1:10267").value();
  return config;
}

Result<Config> load_file(const std::string& path, const Environment& environment) {
  auto text = read_text(path);
  if (!text) return text.error();
  return parse(*text, path, environment);
}

std::vector<std::string> restart_needed(const Config& running, const Config& wanted) {
  std::vector<std::string> keys;
  const auto compare = [&](const char* key, const auto& a, const auto& b) {
    if (!(a == b)) keys.emplace_back(key);
  };
  compare("node", running.node, wanted.node);
  compare("threads", running.threads, wanted.threads);
  compare("upstream.servers", running.upstream.servers, wanted.upstream.servers);
  compare("upstream.ca", running.upstream.ca, wanted.upstream.ca);
  compare("upstream.kubeconfig", running.upstream.kubeconfig, wanted.upstream.kubeconfig);
  compare("upstream.identities", running.upstream.identities, wanted.upstream.identities);
  compare("upstream.probe", running.upstream.probe, wanted.upstream.probe);
  compare("intercept.enabled",
          std::pair{running.intercept.enabled, running.intercept.enabled_explicitly},
          std::pair{wanted.intercept.enabled, wanted.intercept.enabled_explicitly});
  compare("intercept.cgroup", running.intercept.cgroup, wanted.intercept.cgroup);
  compare("intercept.listen", running.intercept.listen, wanted.intercept.listen);
  compare("intercept.adopt", running.intercept.adopt, wanted.intercept.adopt);
  compare("tls", running.tls, wanted.tls);
  compare("cache.dir", running.cache.dir, wanted.cache.dir);
  compare("cache.key", running.cache.key, wanted.cache.key);
  compare("admin.listen", running.admin.listen, wanted.admin.listen);
  compare("admin.socket", running.admin.socket, wanted.admin.socket);
  return keys;
}

}  // namespace holdfast::config
