#include "agent/discovery.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace holdfast::agent {
namespace {

class FakeMachine final : public Surroundings {
 public:
  std::map<std::string, std::string> variables, files;
  std::vector<Endpoint> listening;

  std::string environment(const std::string& name) const override {
    const auto it = variables.find(name);
    return it == variables.end() ? "" : it->second;
  }
  Result<std::string> read_file(const std::string& path) const override {
    const auto it = files.find(path);
    if (it == files.end()) return make_error(Errc::kNotFound, path);
    return it->second;
  }
  std::vector<Endpoint> resolve(const std::string& host, std::uint16_t port) const override {
    const auto endpoint = Endpoint::from_address(host, port);
    return endpoint ? std::vector{*endpoint} : std::vector<Endpoint>{};
  }
  bool is_listening(const Endpoint& endpoint) const override {
    return std::ranges::find(listening, endpoint) != listening.end();
  }
};

constexpr const char* kKubeletConf = R"(
apiVersion: v1
kind: Config
current-context: c
clusters:
- name: k
  cluster: {server: "https://198.18.0.7:6443", certificate-authority-data: Q0EK}
contexts:
- name: c
  context: {cluster: k, user: u}
users:
- name: u
  user: {client-certificate: pki/current.pem, client-key: pki/current.pem}
)";

config::Config empty() {
  return config::defaults({.host_name = "n1", .cores = 2});
}

TEST(Discovery, AKubeletsKubeconfigSaysEverything) {
  FakeMachine machine;
  machine.files["/etc/kubernetes/kubelet.conf"] = kKubeletConf;
  const auto found = discover(empty(), machine);
  ASSERT_TRUE(found) << found.error().to_string();
  ASSERT_EQ(found->servers.size(), 1u);
  EXPECT_EQ(found->servers[0].authority(), "198.18.0.7:6443");
  EXPECT_EQ(found->ca_pem, "CA\n");
  ASSERT_EQ(found->targets.size(), 1u);
  EXPECT_EQ(found->targets[0].to_string(), "198.18.0.7:6443");
  ASSERT_EQ(found->identities.size(), 1u);
  EXPECT_EQ(found->identities[0].first, "/etc/kubernetes/pki/current.pem");
}

TEST(Discovery, APodsEnvironmentAddsTheServiceAddress) {
  FakeMachine machine;
  machine.files["/etc/kubernetes/kubelet.conf"] = kKubeletConf;
  machine.variables = {{"KUBERNETES_SERVICE_HOST", "198.18.0.1"},
                       {"KUBERNETES_SERVICE_PORT", "443"}};
  const auto found = discover(empty(), machine);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->servers.size(), 1u);
  EXPECT_EQ(found->targets.size(), 2u);
}

TEST(Discovery, TheConfigurationWins) {
  FakeMachine machine;
  machine.files["/etc/kubernetes/kubelet.conf"] = kKubeletConf;
  machine.files["/ca"] = "OTHER";
  auto config = empty();
  config.upstream.servers = {{.host = "198.18.0.9", .port = 443}};
  config.upstream.ca = "/ca";
  const auto found = discover(config, machine);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->servers.size(), 1u);
  EXPECT_EQ(found->servers[0].host, "198.18.0.9");
  EXPECT_EQ(found->ca_pem, "OTHER");
}

TEST(Discovery, AnAddressThatALocalProcessServesIsNoTargetUnlessListed) {
  FakeMachine machine;
  machine.files["/etc/kubernetes/kubelet.conf"] = kKubeletConf;
  const auto address = Endpoint::parse("198.18.0.7:6443").value();
  machine.listening = {address};
  auto config = empty();
  auto found = discover(config, machine);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->targets.empty());
  config.intercept.targets = {address};
  found = discover(config, machine);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->targets.size(), 1u);
}

TEST(Discovery, NothingFoundSaysWhereItLooked) {
  const auto found = discover(empty(), FakeMachine{});
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("upstream.servers"), std::string::npos);
}

TEST(Discovery, AMalformedKubeconfigIsAnError) {
  EXPECT_FALSE(parse_kubeconfig(": : :\n- ]", "/"));
  EXPECT_FALSE(parse_kubeconfig("kind: Config", "/"));
}

}  // namespace
}  // namespace holdfast::agent
