#include "agent/discovery.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tls/file_watch.h"

namespace holdfast::agent {
namespace {

constexpr const char* kInClusterToken = "/var/run/secrets/kubernetes.io/serviceaccount/token";
constexpr const char* kInClusterCa = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

std::string decode_base64(std::string text) {
  std::erase_if(text, [](unsigned char c) { return std::isspace(c); });
  std::string out(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) return {};
  // EVP_DecodeBlock counts the padding as zero bytes.
  const auto padding = std::ranges::count(text, '=');
  out.resize(static_cast<std::size_t>(size) - static_cast<std::size_t>(padding));
  return out;
}

std::string absolute(const std::string& path, const std::string& directory) {
  if (path.empty() || path.front() == '/') return path;
  return (std::filesystem::path{directory} / path).string();
}

YAML::Node named(const YAML::Node& list, const std::string& name, const char* what) {
  for (const auto& item : list) {
    if (item["name"].as<std::string>("") == name) return item[what];
  }
  return YAML::Node{YAML::NodeType::Undefined};
}

std::string text(const YAML::Node& node, const char* key) {
  return node && node[key] ? node[key].as<std::string>("") : std::string{};
}

class Machine final : public Surroundings {
 public:
  std::string environment(const std::string& name) const override {
    const char* value = std::getenv(name.c_str());
    return value ? value : "";
  }
  Result<std::string> read_file(const std::string& path) const override {
    std::ifstream file{path, std::ios::binary};
    if (!file) return Error::from_errno("cannot read " + path);
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
  }
  std::vector<Endpoint> resolve(const std::string& host, std::uint16_t port) const override {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return {};
    std::vector<Endpoint> out;
    for (const auto* info = found; info; info = info->ai_next) {
      char numeric[INET6_ADDRSTRLEN] = {};
      if (getnameinfo(info->ai_addr, info->ai_addrlen, numeric, sizeof numeric, nullptr, 0,
                      NI_NUMERICHOST) != 0) {
        continue;
      }
      if (const auto endpoint = Endpoint::from_address(numeric, port)) out.push_back(*endpoint);
    }
    freeaddrinfo(found);
    return out;
  }
  bool is_listening(const Endpoint& endpoint) const override;
};

// One line of /proc/net/tcp{,6}: "sl: LOCAL:PORT REMOTE:PORT STATE …", addresses as host-order
// words in hex, state 0A is LISTEN (proc_net_tcp.rst).
bool listens(const std::string& line, const Endpoint& endpoint, bool v6) {
  char local[40] = {};
  unsigned port = 0, state = 0;
  if (std::sscanf(line.c_str(), " %*[^:]: %32[0-9A-F]:%X %*[0-9A-F]:%*X %X", local, &port,
                  &state) != 3) {
    return false;
  }
  if (state != 0x0A || port != endpoint.port) return false;
  std::string bytes;
  for (std::size_t word = 0; word < (v6 ? 4u : 1u); ++word) {
    std::uint32_t value = 0;
    const std::string_view digits{local + 8 * word, 8};
    std::from_chars(digits.data(), digits.data() + 8, value, 16);
    bytes.append(reinterpret_cast<const char*>(&value), 4);
  }
  if (std::ranges::all_of(bytes, [](char c) { return c == 0; })) {
    // A wildcard listener takes only what is addressed to this machine.
    return endpoint.is_loopback();
  }
  const auto* wanted = reinterpret_cast<const char*>(endpoint.address.data());
  return bytes == std::string_view{wanted + (v6 ? 0 : 12), bytes.size()};
}

bool Machine::is_listening(const Endpoint& endpoint) const {
  for (const bool v6 : {false, true}) {
    if (!v6 && !endpoint.is_v4()) continue;
    std::ifstream file{v6 ? "/proc/net/tcp6" : "/proc/net/tcp"};
    std::string line;
    while (std::getline(file, line)) {
      if (listens(line, endpoint, v6)) return true;
    }
  }
  return false;
}

void add_target(Discovery& found, const Endpoint& target) {
  if (std::ranges::find(found.targets, target) == found.targets.end()) {
    found.targets.push_back(target);
  }
}

void add_identity(Discovery& found, std::pair<std::string, std::string> files) {
  if (std::ranges::find(found.identities, files) == found.identities.end()) {
    found.identities.push_back(std::move(files));
  }
}

// `first`: of this one come the server, the CA and the agent's own access; of the others only keys
// (and what is missing).
void use_kubeconfig(Discovery& found, const Kubeconfig& kubeconfig, const std::string& path,
                    bool first) {
  if (first && found.servers.empty()) {
    if (auto server = upstream::Server::parse(kubeconfig.server)) {
      found.servers.push_back(std::move(*server));
      found.sources.push_back("server " + kubeconfig.server + " from " + path);
    }
  }
  if (found.ca_pem.empty()) {
    found.ca_pem = kubeconfig.ca_pem;
    found.ca_file = kubeconfig.ca_file;
  }
  // A pair inside the kubeconfig is read from there, and again when the file changes. (client-go
  // prefers it to files, too.)
  const auto& cert = kubeconfig.inline_pair ? path : kubeconfig.cert_file;
  const auto& key = kubeconfig.inline_pair ? path : kubeconfig.key_file;
  if (cert.empty()) return;
  add_identity(found, {cert, key});
  if (first) {
    found.own_cert_file = cert;
    found.own_key_file = key;
  }
}

// The configured one, then the node's own; the first that can be read is the kubelet's, or in its
// place. Adds to `balancers` the loopback addresses that node components dial.
void look_into_kubeconfigs(Discovery& found, const config::Config& config, const NodeFiles& files,
                           const Surroundings& surroundings, std::vector<Endpoint>& balancers) {
  auto paths = files.kubeconfigs;
  if (!config.upstream.kubeconfig.empty()) {
    paths.insert(paths.begin(), config.upstream.kubeconfig);
  }
  bool first = true;
  for (const auto& path : paths) {
    auto content = surroundings.read_file(path);
    if (!content) continue;
    auto parsed = parse_kubeconfig(*content, std::filesystem::path{path}.parent_path().string());
    if (!parsed) continue;
    if (parsed->ca_pem.empty() && !parsed->ca_file.empty()) {
      if (auto ca = surroundings.read_file(parsed->ca_file)) parsed->ca_pem = std::move(*ca);
    }
    use_kubeconfig(found, *parsed, path, first);
    first = false;
    if (!files.balanced) continue;
    const auto server = upstream::Server::parse(parsed->server);
    if (!server) continue;
    for (const auto& endpoint : surroundings.resolve(server->host, server->port)) {
      if (endpoint.is_loopback()) balancers.push_back(endpoint);
    }
  }
}

void look_into_environment(Discovery& found, const Surroundings& surroundings) {
  const auto host = surroundings.environment("KUBERNETES_SERVICE_HOST");
  const auto port = surroundings.environment("KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) return;
  const bool v6 = host.find(':') != std::string::npos;
  const auto url = "https://" + (v6 ? "[" + host + "]" : host) + ":" + port;
  auto server = upstream::Server::parse(url);
  if (!server) return;
  for (const auto& endpoint : surroundings.resolve(server->host, server->port)) {
    add_target(found, endpoint);
  }
  if (found.servers.empty()) {
    found.servers.push_back(std::move(*server));
    found.sources.push_back("server " + url + " from KUBERNETES_SERVICE_HOST");
  }
  if (found.ca_pem.empty()) {
    if (auto ca = surroundings.read_file(kInClusterCa)) {
      found.ca_pem = std::move(*ca);
      found.ca_file = kInClusterCa;
    }
  }
}

}  // namespace

Result<Kubeconfig> parse_kubeconfig(std::string_view yaml, const std::string& directory) {
  Kubeconfig out;
  try {
    const auto root = YAML::Load(std::string{yaml});
    const auto context = named(root["contexts"], text(root, "current-context"), "context");
    const auto cluster = named(root["clusters"], text(context, "cluster"), "cluster");
    const auto user = named(root["users"], text(context, "user"), "user");
    out.server = text(cluster, "server");
    out.ca_file = absolute(text(cluster, "certificate-authority"), directory);
    out.ca_pem = decode_base64(text(cluster, "certificate-authority-data"));
    out.cert_file = absolute(text(user, "client-certificate"), directory);
    out.key_file = absolute(text(user, "client-key"), directory);
    out.inline_pair = !text(user, "client-certificate-data").empty();
  } catch (const YAML::Exception& e) {
    return make_error(Errc::kInvalidArgument, std::string{"not a kubeconfig: "} + e.what());
  }
  if (out.server.empty()) {
    return make_error(Errc::kInvalidArgument, "the kubeconfig names no server");
  }
  return out;
}

Result<Discovery> discover(const config::Config& config, const Surroundings& surroundings) {
  Discovery found;
  found.node = detect_node(surroundings);
  const auto files = node_files(found.node, surroundings);
  found.balanced = files.balanced;
  if (found.node.role == Role::kControlPlane && !config.intercept.enabled_explicitly) {
    found.stay_out = "the API server is on this node (" + found.node.name() + ": " +
                     found.node.reason() + "); intercept.enabled: true would switch it on";
  }
  for (const auto& server : config.upstream.servers) {
    found.servers.push_back({.host = server.host, .port = server.port, .tls_name = {}});
  }
  if (!config.upstream.ca.empty()) {
    auto ca = surroundings.read_file(config.upstream.ca);
    if (!ca) return ca.error();
    found.ca_pem = std::move(*ca);
    found.ca_file = config.upstream.ca;
  }
  if (found.servers.empty() && config.upstream.kubeconfig.empty()) {
    // Not through the balancer: whether a server answers is then ours to see.
    for (const auto& server : files.balanced_servers) {
      found.servers.push_back(server);
      found.sources.push_back("server " + server.authority() + " from " + files.balanced_source);
    }
  }
  std::vector<Endpoint> balancers;
  look_into_kubeconfigs(found, config, files, surroundings, balancers);
  for (const auto& pair : files.identities) add_identity(found, pair);
  look_into_environment(found, surroundings);
  // The order of upstream.kubeconfig: what is configured, then in-cluster, then the kubelet's.
  if (config.upstream.kubeconfig.empty() && surroundings.read_file(kInClusterToken)) {
    found.own_token_file = kInClusterToken;
    found.own_cert_file.clear();
    found.own_key_file.clear();
  }

  // Behind a balancer the servers' own addresses are what the balancer dials, and K3s' tunnel.
  if (!files.balanced) {
    for (const auto& server : found.servers) {
      for (const auto& endpoint : surroundings.resolve(server.host, server.port)) {
        add_target(found, endpoint);
      }
    }
  }
  // On a control-plane node such an address is the API server itself.
  std::erase_if(found.targets,
                [&](const Endpoint& target) { return surroundings.is_listening(target); });
  for (const auto& balancer : balancers) add_target(found, balancer);
  for (const auto& target : config.intercept.targets) add_target(found, target);
  for (const auto& pair : config.upstream.identities) {
    add_identity(found, {pair.cert, pair.key});
  }

  if (found.servers.empty()) {
    return make_error(Errc::kNotFound,
                      "no API server is known: set upstream.servers, or run where "
                      "KUBERNETES_SERVICE_HOST or a kubelet's kubeconfig is");
  }
  if (found.ca_pem.empty()) {
    return make_error(Errc::kNotFound,
                      "the cluster's CA certificate was not found: set upstream.ca");
  }
  return found;
}

const Surroundings& this_machine() {
  static const Machine machine;
  return machine;
}

}  // namespace holdfast::agent
