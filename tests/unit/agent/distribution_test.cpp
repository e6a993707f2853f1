#include "agent/distribution.h"

#include <gtest/gtest.h>

#include "unit/agent/fake_machine.h"

namespace holdfast::agent {
namespace {

config::Config empty() {
  return config::defaults({.host_name = "n1", .cores = 2});
}

std::string kubeconfig(const std::string& server, const std::string& user) {
  return "current-context: c\nclusters: [{name: k, cluster: {server: \"" + server +
         "\", certificate-authority: server-ca.crt}}]\n"
         "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
         "users: [{name: u, user: {client-certificate: client-" +
         user + ".crt, client-key: client-" + user + ".key}}]\n";
}

/// As K3s and RKE2 leave it on an agent that has joined; their balancer listens.
FakeMachine rancher_agent(const std::string& program, const std::string& server) {
  const auto folder = "/var/lib/rancher/" + program + "/agent/";
  FakeMachine machine;
  machine.files[folder + "kubelet.kubeconfig"] = kubeconfig(server, "kubelet");
  machine.files[folder + "kubeproxy.kubeconfig"] = kubeconfig(server, "kube-proxy");
  machine.files[folder + program + "controller.kubeconfig"] =
      kubeconfig(server, program + "-controller");
  machine.files[folder + "server-ca.crt"] = "CA";
  machine.listening = {Endpoint::parse(upstream::Server::parse(server)->authority()).value()};
  return machine;
}

std::vector<std::string> names(const std::vector<Endpoint>& endpoints) {
  std::vector<std::string> out;
  for (const auto& endpoint : endpoints) out.push_back(endpoint.to_string());
  return out;
}
std::vector<std::string> names(const std::vector<upstream::Server>& servers) {
  std::vector<std::string> out;
  for (const auto& server : servers) out.push_back(server.authority());
  return out;
}
using Names = std::vector<std::string>;

struct Kind {
  const char* name;
  std::vector<const char*> files;
};

TEST(Distribution, IsToldByTheFilesOfTheNode) {
  const Kind kinds[] = {
      {"plain worker", {}},
      {"plain worker", {"/etc/rancher/k3s/k3s.yaml"}},  // an administrator's copy
      {"plain worker", {"/etc/kubernetes/admin.conf", "/var/lib/kubelet/kubeconfig"}},
      {"kubeadm worker", {"/etc/kubernetes/kubelet.conf"}},
      {"kubeadm control plane",
       {"/etc/kubernetes/kubelet.conf", "/etc/kubernetes/manifests/kube-apiserver.yaml"}},
      {"k3s agent", {"/var/lib/rancher/k3s/agent/kubelet.kubeconfig"}},
      {"k3s agent", {"/etc/systemd/system/k3s-agent.service"}},
      {"k3s server", {"/etc/systemd/system/k3s.service"}},
      // As a distribution's own packaging names the unit of an agent, too.
      {"k3s agent",
       {"/etc/systemd/system/k3s.service", "/var/lib/rancher/k3s/agent/kubelet.kubeconfig"}},
      {"k3s server",
       {"/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
        "/var/lib/rancher/k3s/server/tls/server-ca.crt"}},
      {"rke2 agent", {"/var/lib/rancher/rke2/agent/kubelet.kubeconfig"}},
      {"rke2 server",
       {"/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
        "/var/lib/rancher/rke2/server/tls/server-ca.crt"}},
      {"microk8s control plane", {"/var/snap/microk8s/current/credentials/kubelet.config"}},
      {"microk8s worker",
       {"/var/snap/microk8s/current/credentials/kubelet.config",
        "/var/snap/microk8s/current/var/lock/clustered.lock"}},
      {"k0s worker", {"/var/lib/k0s/kubelet.conf"}},
      {"k0s control plane", {"/var/lib/k0s/kubelet.conf", "/var/lib/k0s/pki/sa.pub"}},
  };
  for (const auto& kind : kinds) {
    FakeMachine machine;
    for (const auto* file : kind.files) machine.files[file] = "";
    const auto node = detect_node(machine);
    EXPECT_EQ(node.name(), kind.name);
    if (node.distribution == Distribution::kPlain) {
      EXPECT_EQ(node.reason(), "no distribution's files were found");
    } else {
      EXPECT_TRUE(machine.files.contains(node.sign)) << node.sign;
      EXPECT_EQ(node.reason(), node.sign + " is there");
    }
  }
}

TEST(Distribution, AK3sAgentSaysEverything) {
  auto machine = rancher_agent("k3s", "https://127.0.0.1:6444");
  machine.files["/var/lib/rancher/k3s/agent/etc/k3s-agent-load-balancer.json"] =
      R"({"ServerURL":"https://k3s.example:6443","ServerAddresses":["198.18.9.1:6443","198.18.9.2:6443"]})";
  const auto found = discover(empty(), machine);
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(names(found->servers),
            (Names{"198.18.9.1:6443", "198.18.9.2:6443", "k3s.example:6443"}));
  for (const auto& server : found->servers) EXPECT_EQ(server.tls_name, "127.0.0.1");
  // The balancer listens, and is redirected; what it dials is not.
  EXPECT_EQ(names(found->targets), Names{"127.0.0.1:6444"});
  EXPECT_TRUE(found->balanced);
  EXPECT_EQ(found->stay_out, "");
  EXPECT_EQ(found->ca_pem, "CA");
  const std::string folder = "/var/lib/rancher/k3s/agent/";
  EXPECT_EQ(found->own_cert_file, folder + "client-kubelet.crt");
  ASSERT_EQ(found->identities.size(), 3u);
  for (const auto& [index, user] :
       {std::pair{0, "kubelet"}, {1, "kube-proxy"}, {2, "k3s-controller"}}) {
    EXPECT_EQ(found->identities[static_cast<std::size_t>(index)],
              std::pair(folder + "client-" + user + ".crt", folder + "client-" + user + ".key"));
  }
}

TEST(Distribution, AK3sAgentsServerIsWhereItWasTold) {
  struct Case {
    const char *path, *text;
    const char* server;
  };
  const Case cases[] = {
      {"/etc/systemd/system/k3s-agent.service.env",
       "K3S_TOKEN='x'\nK3S_URL='https://198.18.9.3:6443'\n", "198.18.9.3:6443"},
      {"/etc/systemd/system/k3s-agent.service.env", "K3S_URL=\"https://198.18.9.4\"\n",
       "198.18.9.4:443"},
      {"/etc/rancher/k3s/config.yaml", "server: https://198.18.9.5:6443\ntoken: x\n",
       "198.18.9.5:6443"},
      // Nothing usable: then through the balancer.
      {"/etc/rancher/k3s/config.yaml", ": : [", "127.0.0.1:6444"},
      {"/etc/rancher/k3s/config.yaml", "- a", "127.0.0.1:6444"},
      {"/etc/systemd/system/k3s-agent.service.env", "XK3S_URL=https://198.18.9.4\n",
       "127.0.0.1:6444"},
      {"/var/lib/rancher/k3s/agent/etc/k3s-agent-load-balancer.json", "{", "127.0.0.1:6444"},
      {"/var/lib/rancher/k3s/agent/etc/k3s-agent-load-balancer.json",
       R"({"ServerURL":7,"ServerAddresses":[1,"",null]})", "127.0.0.1:6444"},
  };
  for (const auto& c : cases) {
    auto machine = rancher_agent("k3s", "https://127.0.0.1:6444");
    machine.files[c.path] = c.text;
    const auto found = discover(empty(), machine);
    ASSERT_TRUE(found) << c.text;
    EXPECT_EQ(names(found->servers), Names{c.server}) << c.text;
    EXPECT_EQ(names(found->targets), Names{"127.0.0.1:6444"}) << c.text;
  }
  auto machine = rancher_agent("k3s", "https://127.0.0.1:6444");
  machine.variables["K3S_URL"] = "https://198.18.9.6:6443";
  EXPECT_EQ(names(discover(empty(), machine)->servers), Names{"198.18.9.6:6443"});
}

TEST(Distribution, OnARke2AgentTheSupervisorIsLeftAlone) {
  auto machine = rancher_agent("rke2", "https://127.0.0.1:6443");
  machine.files["/etc/rancher/rke2/config.yaml"] = "server: https://198.18.9.1:9345\n";
  auto found = discover(empty(), machine);
  ASSERT_TRUE(found);
  EXPECT_EQ(names(found->servers), Names{"198.18.9.1:6443"});
  EXPECT_EQ(names(found->targets), Names{"127.0.0.1:6443"});
  EXPECT_EQ(found->identities.size(), 3u);
  EXPECT_EQ(found->identities.back().first,
            "/var/lib/rancher/rke2/agent/client-rke2-controller.crt");

  machine.files["/var/lib/rancher/rke2/agent/etc/rke2-agent-load-balancer.json"] =
      R"({"ServerURL":"https://198.18.9.1:9345","ServerAddresses":["198.18.9.1:9345"]})";
  machine.files["/var/lib/rancher/rke2/agent/etc/rke2-api-server-agent-load-balancer.json"] =
      R"({"ServerURL":"https://198.18.9.2:6443","ServerAddresses":["198.18.9.2:6443"]})";
  found = discover(empty(), machine);
  ASSERT_TRUE(found);
  EXPECT_EQ(names(found->servers), Names{"198.18.9.2:6443"});
}

TEST(Distribution, TheServiceAddressIsATargetBesideTheBalancer) {
  auto machine = rancher_agent("k3s", "https://127.0.0.1:6444");
  machine.files["/etc/rancher/k3s/config.yaml"] = "server: https://198.18.9.5:6443";
  machine.variables.insert(
      {{"KUBERNETES_SERVICE_HOST", "198.18.0.1"}, {"KUBERNETES_SERVICE_PORT", "443"}});
  const auto found = discover(empty(), machine);
  ASSERT_TRUE(found);
  EXPECT_EQ(names(found->targets), (Names{"198.18.0.1:443", "127.0.0.1:6444"}));
}

TEST(Distribution, WhereTheApiServerIsNothingIsInterceptedUnlessTheFileSaysSo) {
  auto machine = rancher_agent("k3s", "https://127.0.0.1:6444");
  machine.files["/var/lib/rancher/k3s/server/tls/server-ca.crt"] = "CA";
  auto found = discover(empty(), machine);
  ASSERT_TRUE(found);
  EXPECT_EQ(names(found->targets), Names{}) << "there, that is the API server";
  EXPECT_NE(found->stay_out.find("k3s server"), std::string::npos) << found->stay_out;
  EXPECT_NE(found->stay_out.find("/var/lib/rancher/k3s/server/tls/server-ca.crt"),
            std::string::npos);

  const config::Environment environment{.host_name = "n1", .cores = 2};
  for (const auto* text : {"intercept: {adopt: false}", "intercept: {enabled: false}", ""}) {
    EXPECT_NE(discover(*config::parse(text, "c", environment), machine)->stay_out, "") << text;
  }
  found = discover(*config::parse("intercept: {enabled: true}", "c", environment), machine);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->stay_out, "");
  EXPECT_EQ(names(found->targets), Names{}) << "not even then";
}

}  // namespace
}  // namespace holdfast::agent
