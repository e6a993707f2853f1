#include "agent/distribution.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "agent/discovery.h"

namespace holdfast::agent {
namespace {

constexpr const char* kKubeletPem = "/var/lib/kubelet/pki/kubelet-client-current.pem";

/// A file that exists on nodes of one kind alone. Public ones only: a key is not read to see
/// whether it is there.
struct Sign {
  const char* path;
  Distribution distribution;
  Role role;
};

// The first that is there decides. What says "an API server runs here" comes first: a node may
// carry the remains of both. Not /etc/rancher/k3s/k3s.yaml nor admin.conf: people copy these about.
constexpr Sign kSigns[] = {
    {"/var/lib/rancher/k3s/server/tls/server-ca.crt", Distribution::kK3s, Role::kControlPlane},
    {"/var/lib/rancher/rke2/server/tls/server-ca.crt", Distribution::kRke2, Role::kControlPlane},
    // Controllers alone hold the public half of the service accounts' key.
    {"/var/lib/k0s/pki/sa.pub", Distribution::kK0s, Role::kControlPlane},
    {"/etc/kubernetes/manifests/kube-apiserver.yaml", Distribution::kKubeadm, Role::kControlPlane},
    {"/var/lib/rancher/k3s/agent/kubelet.kubeconfig", Distribution::kK3s, Role::kWorker},
    {"/var/lib/rancher/rke2/agent/kubelet.kubeconfig", Distribution::kRke2, Role::kWorker},
    // Made when a MicroK8s node joins as a worker: its API server does not start any more.
    {"/var/snap/microk8s/current/var/lock/clustered.lock", Distribution::kMicrok8s, Role::kWorker},
    {"/var/snap/microk8s/current/credentials/kubelet.config", Distribution::kMicrok8s,
     Role::kControlPlane},
    {"/var/lib/k0s/kubelet.conf", Distribution::kK0s, Role::kWorker},
    {"/etc/kubernetes/kubelet.conf", Distribution::kKubeadm, Role::kWorker},
    // Before its first start a K3s node has no more than the unit that its installer wrote. (RKE2's
    // archive brings both of its units along: they say nothing.)
    {"/etc/systemd/system/k3s-agent.service", Distribution::kK3s, Role::kWorker},
    {"/etc/systemd/system/k3s.service", Distribution::kK3s, Role::kControlPlane},
};

bool is_rancher(Distribution distribution) {
  return distribution == Distribution::kK3s || distribution == Distribution::kRke2;
}

/// "host:port", as the balancer writes its servers.
std::optional<upstream::Server> server_of(const std::string& authority) {
  auto server = upstream::Server::parse("https://" + authority);
  if (!server) return std::nullopt;
  return std::move(*server);
}

void add(std::vector<upstream::Server>& servers, std::optional<upstream::Server> server) {
  if (!server) return;
  // What the node's own components verify: they dial the loopback address, and each server's
  // certificate has that. The name under which an agent was joined need not be on all of them.
  server->tls_name = "127.0.0.1";
  if (std::ranges::find(servers, *server) == servers.end()) servers.push_back(std::move(*server));
}

/// pkg/agent/loadbalancer/config.go: {"ServerURL": "https://…", "ServerAddresses": ["ip:port", …]}.
std::vector<upstream::Server> balancer_servers(const std::string& text) {
  std::vector<upstream::Server> servers;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return servers;
  if (const auto it = json.find("ServerAddresses"); it != json.end() && it->is_array()) {
    for (const auto& address : *it) {
      if (address.is_string()) add(servers, server_of(address.get<std::string>()));
    }
  }
  // The one that the node was joined with; the balancer itself falls back to it last.
  if (const auto it = json.find("ServerURL"); it != json.end() && it->is_string()) {
    if (auto server = upstream::Server::parse(it->get<std::string>())) {
      add(servers, std::move(*server));
    }
  }
  return servers;
}

/// NAME=value, NAME='value' or NAME="value" in a systemd environment file; empty: not there.
std::string environment_line(const std::string& text, const std::string& name) {
  std::istringstream lines{text};
  std::string value;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name + "=")) continue;
    value = line.substr(name.size() + 1);  // the last one counts, systemd.exec(5)
    while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back()))) {
      value.pop_back();
    }
    const bool quoted = value.size() >= 2 && (value.front() == '\'' || value.front() == '"') &&
                        value.back() == value.front();
    if (quoted) value = value.substr(1, value.size() - 2);
  }
  return value;
}

std::string yaml_key(const std::string& text, const char* key) {
  try {
    const auto root = YAML::Load(text);
    return root.IsMap() && root[key] ? root[key].as<std::string>("") : std::string{};
  } catch (const YAML::Exception&) {
    return {};
  }
}

/// Where a K3s or RKE2 agent was told to find its server, and what said so.
std::pair<std::string, std::string> joined_url(const std::string& program,
                                               const Surroundings& surroundings) {
  const bool k3s = program == "k3s";
  const std::string variable = k3s ? "K3S_URL" : "RKE2_URL";
  if (auto url = surroundings.environment(variable); !url.empty()) return {url, variable};
  for (const auto& path :
       {"/etc/systemd/system/" + program + "-agent.service.env",
        "/etc/default/" + program + "-agent", "/etc/sysconfig/" + program + "-agent"}) {
    const auto text = surroundings.read_file(path);
    if (!text) continue;
    if (auto url = environment_line(*text, variable); !url.empty()) return {url, path};
  }
  const auto path = "/etc/rancher/" + program + "/config.yaml";
  if (const auto text = surroundings.read_file(path)) {
    if (auto url = yaml_key(*text, "server"); !url.empty()) return {url, path};
  }
  return {};
}

void find_balanced_servers(NodeFiles& files, Distribution distribution,
                           const Surroundings& surroundings) {
  const bool k3s = distribution == Distribution::kK3s;
  const std::string program{to_string(distribution)};
  // K3s' supervisor and API server share a port; RKE2's supervisor has 9345 for itself, and its
  // balancer another file, which is none of ours.
  const auto path = "/var/lib/rancher/" + program + "/agent/etc/" + program +
                    (k3s ? "-agent-load-balancer.json" : "-api-server-agent-load-balancer.json");
  if (const auto text = surroundings.read_file(path)) {
    files.balanced_servers = balancer_servers(*text);
    files.balanced_source = path;
    if (!files.balanced_servers.empty()) return;
  }
  auto [url, source] = joined_url(program, surroundings);
  auto server = upstream::Server::parse(url);
  if (!server) return;
  constexpr std::uint16_t kRke2Supervisor = 9345;
  if (!k3s && server->port == kRke2Supervisor) server->port = 6443;
  add(files.balanced_servers, std::move(*server));
  files.balanced_source = source;
}

NodeFiles rancher_files(const NodeKind& node, const Surroundings& surroundings) {
  const std::string program{to_string(node.distribution)};
  const auto folder = "/var/lib/rancher/" + program + "/agent/";
  NodeFiles files;
  for (const auto& name :
       {std::string{"kubelet"}, std::string{"kubeproxy"}, program + "controller"}) {
    files.kubeconfigs.push_back(folder + name + ".kubeconfig");
  }
  for (const auto& name :
       {std::string{"kubelet"}, std::string{"kube-proxy"}, program + "-controller"}) {
    files.identities.emplace_back(folder + "client-" + name + ".crt",
                                  folder + "client-" + name + ".key");
  }
  files.balanced = node.role == Role::kWorker;
  if (files.balanced) find_balanced_servers(files, node.distribution, surroundings);
  return files;
}

}  // namespace

std::string_view to_string(Distribution distribution) {
  switch (distribution) {
    case Distribution::kPlain:
      return "plain";
    case Distribution::kKubeadm:
      return "kubeadm";
    case Distribution::kK3s:
      return "k3s";
    case Distribution::kRke2:
      return "rke2";
    case Distribution::kMicrok8s:
      return "microk8s";
    case Distribution::kK0s:
      return "k0s";
  }
  return "plain";
}

std::string_view NodeKind::role_name() const {
  const bool control_plane = role == Role::kControlPlane;
  if (is_rancher(distribution)) return control_plane ? "server" : "agent";
  return control_plane ? "control plane" : "worker";
}

std::string NodeKind::name() const {
  return std::string{to_string(distribution)} + " " + std::string{role_name()};
}

std::string NodeKind::reason() const {
  return sign.empty() ? "no distribution's files were found" : sign + " is there";
}

NodeKind detect_node(const Surroundings& surroundings) {
  for (const auto& sign : kSigns) {
    if (surroundings.read_file(sign.path)) {
      return {.distribution = sign.distribution, .role = sign.role, .sign = sign.path};
    }
  }
  return {};
}

NodeFiles node_files(const NodeKind& node, const Surroundings& surroundings) {
  switch (node.distribution) {
    case Distribution::kK3s:
    case Distribution::kRke2:
      return rancher_files(node, surroundings);
    case Distribution::kMicrok8s:
      return {.kubeconfigs = {"/var/snap/microk8s/current/credentials/kubelet.config",
                              "/var/snap/microk8s/current/credentials/proxy.config"}};
    case Distribution::kK0s:
      return {.kubeconfigs = {"/var/lib/k0s/kubelet.conf"},
              .identities = {{"/var/lib/k0s/kubelet/pki/kubelet-client-current.pem",
                              "/var/lib/k0s/kubelet/pki/kubelet-client-current.pem"}}};
    case Distribution::kKubeadm:
    case Distribution::kPlain:
      break;
  }
  return {.kubeconfigs = {"/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/kubeconfig"},
          .identities = {{kKubeletPem, kKubeletPem}}};
}

}  // namespace holdfast::agent
