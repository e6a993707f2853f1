#include "approver/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/tls/pki.h"

namespace holdfast::approver {
namespace {

using testing::HasSubstr;

std::string kubeconfig(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
         "clusters: [{name: k, cluster: {" +
         cluster +
         "}}]\n"
         "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
         "users: [{name: u, user: {" +
         user + "}}]\n";
}

class AccessTest : public testing::Test {
 protected:
  tls::test::TemporaryDirectory directory_;
  tls::test::Pair pair_ = tls::test::issue({.name = "approver"});

  Result<Access> load(const std::string& cluster, const std::string& user) {
    return access_from_kubeconfig(directory_.write("config", kubeconfig(cluster, user)));
  }
  static constexpr const char* kServer = "server: 'https://198.18.0.1:6443', ";
};

TEST_F(AccessTest, FilesBesideTheKubeconfig) {
  directory_.write("ca.crt", "CA");
  directory_.write("a.crt", pair_.cert_pem);
  directory_.write("a.key", pair_.key_pem);
  const auto access = load(kServer + std::string{"certificate-authority: ca.crt"},
                           "client-certificate: a.crt, client-key: a.key");
  ASSERT_TRUE(access) << access.error().to_string();
  EXPECT_EQ(access->servers.at(0).authority(), "198.18.0.1:6443");
  EXPECT_EQ(access->ca_pem, "CA");
  ASSERT_TRUE(access->credential.identity);
  EXPECT_EQ(access->credential.identity->common_name(), "approver");
}

TEST_F(AccessTest, InlineDataAndTokens) {
  auto access = load(kServer + std::string{"certificate-authority-data: Q0E="}, "token: abc");
  ASSERT_TRUE(access);
  EXPECT_EQ(access->ca_pem, "CA");
  EXPECT_EQ(access->credential.token, "abc");
  EXPECT_FALSE(access->credential.identity);
  access = load(kServer + std::string{"certificate-authority-data: Q0E="}, "tokenFile: t");
  ASSERT_TRUE(access);
  EXPECT_EQ(access->credential.token_file, directory_.file("t"));
}

TEST_F(AccessTest, WhatCannotBeUsedSaysWhy) {
  EXPECT_THAT(access_from_kubeconfig(directory_.file("absent")).error().message,
              HasSubstr("absent"));
  EXPECT_FALSE(load("server: nonsense", "token: abc"));
  EXPECT_FALSE(load(kServer + std::string{"certificate-authority: absent"}, "token: abc"));
  EXPECT_FALSE(load(kServer, "client-certificate-data: QQ==, client-key-data: QQ=="));
  directory_.write("config", ": : ]");
  EXPECT_FALSE(access_from_kubeconfig(directory_.file("config")));
}

}  // namespace
}  // namespace holdfast::approver
