#include "agent/discovery.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "unit/agent/fake_machine.h"

namespace holdfast::agent {
namespace {

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
  const std::string rotated = "/var/lib/kubelet/pki/kubelet-client-current.pem";
  ASSERT_EQ(found->identities.size(), 2u);
  EXPECT_EQ(found->identities[0].first, "/etc/kubernetes/pki/current.pem");
  EXPECT_EQ(found->identities[1], std::pair(rotated, rotated));
  EXPECT_EQ(found->own_cert_file, "/etc/kubernetes/pki/current.pem");
  EXPECT_EQ(found->node.name(), "kubeadm worker");
  EXPECT_EQ(found->stay_out, "");
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

TEST(Discovery, AnInlineKeyPairIsReadFromTheKubeconfig) {
  FakeMachine machine;
  std::string conf = kKubeletConf;
  const std::string files = "client-certificate: pki/current.pem, client-key: pki/current.pem";
  conf.replace(conf.find(files), files.size(),
               "client-certificate-data: Q0VSVA==, client-key-data: S0VZ");
  machine.files["/etc/kubernetes/kubelet.conf"] = conf;
  const auto found = discover(empty(), machine);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->own_cert_file, "/etc/kubernetes/kubelet.conf");
  EXPECT_EQ(found->identities.front(), std::pair(found->own_cert_file, found->own_key_file));
}

TEST(Discovery, APodsOwnTokenComesBeforeAnInlinePair) {
  FakeMachine machine;
  machine.files["/etc/kubernetes/kubelet.conf"] = kKubeletConf;
  machine.files["/var/run/secrets/kubernetes.io/serviceaccount/token"] = "t";
  const auto found = discover(empty(), machine);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->own_cert_file, "");
  EXPECT_EQ(found->own_token_file, "/var/run/secrets/kubernetes.io/serviceaccount/token");
  EXPECT_EQ(found->identities.size(), 2u);
}

TEST(Discovery, AConfiguredKubeconfigIsTheAgentsOwnAndTheKubeletsKeysAreStillKnown) {
  FakeMachine machine;
  std::string own = kKubeletConf;
  own.replace(own.find("198.18.0.7"), 10, "198.18.0.8");
  machine.files["/own/kubeconfig"] = own;
  machine.files["/etc/kubernetes/kubelet.conf"] = kKubeletConf;
  auto config = empty();
  config.upstream.kubeconfig = "/own/kubeconfig";
  const auto found = discover(config, machine);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->own_cert_file, "/own/pki/current.pem");
  ASSERT_EQ(found->servers.size(), 1u);
  EXPECT_EQ(found->servers[0].host, "198.18.0.8");
  EXPECT_EQ(found->identities.size(), 3u);
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
