#include "tls/mint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/tls/pki.h"

namespace holdfast::tls {
namespace {

using namespace std::chrono_literals;
using test::issue;
using test::kEpoch;

constexpr std::chrono::hours kMonth{30 * 24};

Names some_names() {
  Names names;
  names.dns = {"kubernetes", "kubernetes.default.svc", "*.example.org", "odd,name"};
  names.add_address(*Endpoint::from_address("198.18.0.1", 443));
  names.add_address(*Endpoint::from_address("fd77::1", 443));
  return names;
}

CertificateAuthority authority(const test::Pair& ca) {
  return *CertificateAuthority::create(ca.cert_pem, ca.key_pem, "ca");
}

TEST(MintTest, TheLeafHasTheNamesAndTheUsage) {
  const auto ca = test::make_ca("root");
  const auto pair = authority(ca).mint(some_names(), kEpoch, kMonth);
  ASSERT_TRUE(pair) << pair.error().to_string();
  EXPECT_EQ(pair->names, some_names());
  const auto chain = *parse_pem_chain(pair->chain_pem, "minted");
  ASSERT_EQ(chain.size(), 1U);  // the client brings the root
  auto* leaf = chain.front().get();
  EXPECT_EQ(X509_get_extended_key_usage(leaf), static_cast<unsigned>(XKU_SSL_SERVER));
  EXPECT_EQ(X509_get_key_usage(leaf), static_cast<unsigned>(KU_DIGITAL_SIGNATURE));
  EXPECT_EQ(X509_check_ca(leaf), 0);
  EXPECT_NE(X509_get0_subject_key_id(leaf), nullptr);
  EXPECT_NE(X509_get0_authority_key_id(leaf), nullptr);
  EXPECT_EQ(EVP_PKEY_get_bits(X509_get0_pubkey(leaf)), 256);
  EXPECT_EQ(subject(leaf), "CN=holdfast-apiserver-proxy");
}

TEST(MintTest, ValidityIsTheLifetimeBackdatedOrTheCas) {
  const auto ca = test::make_ca("root");
  auto pair = authority(ca).mint(some_names(), kEpoch, kMonth);
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->validity.not_before, kEpoch - 5min);
  EXPECT_EQ(pair->validity.not_after, kEpoch + kMonth);

  const auto ending = issue({.name = "root", .ca = true, .from = kEpoch, .to = kEpoch + 24h});
  pair = authority(ending).mint(some_names(), kEpoch, kMonth);
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->validity.not_before, kEpoch);
  EXPECT_EQ(pair->validity.not_after, kEpoch + 24h);

  EXPECT_FALSE(authority(ending).mint(some_names(), kEpoch + 25h, kMonth));
  EXPECT_FALSE(authority(ending).mint(some_names(), kEpoch - 1h, kMonth));
}

TEST(MintTest, IntermediatesAreServed) {
  const auto root = test::make_ca("root");
  const auto intermediate = issue({.name = "intermediate", .ca = true}, &root);
  const auto ca = CertificateAuthority::create(intermediate.cert_pem + root.cert_pem,
                                               intermediate.key_pem, "ca");
  ASSERT_TRUE(ca);
  const auto pair = ca->mint(some_names(), kEpoch, kMonth);
  ASSERT_TRUE(pair);
  const auto chain = *parse_pem_chain(pair->chain_pem, "minted");
  ASSERT_EQ(chain.size(), 2U);
  EXPECT_EQ(subject(chain[1].get()), "CN=intermediate");
  const auto trust = *TrustStore::create(root.cert_pem, "root");
  EXPECT_TRUE(trust.root_of(chain, kEpoch, TrustStore::Time::kChecked));
}

TEST(MintTest, WhatIsNoCaIsRefused) {
  const auto root = test::make_ca("root");
  const auto other = test::make_ca("other");
  const auto leaf = issue({.name = "leaf"}, &root);
  EXPECT_FALSE(CertificateAuthority::create(leaf.cert_pem, leaf.key_pem, "ca"));
  EXPECT_FALSE(CertificateAuthority::create(root.cert_pem, other.key_pem, "ca"));
  EXPECT_FALSE(CertificateAuthority::create("", root.key_pem, "ca"));
  EXPECT_FALSE(CertificateAuthority::create(root.cert_pem, "", "ca"));
}

TEST(TrustStoreTest, ARootRenewedWithItsKeyIsTheSameRoot) {
  const auto root = test::make_ca("root");
  const auto server = issue({.name = "server", .usage = "serverAuth"}, &root);
  const auto chain = *parse_pem_chain(server.cert_pem, "server");
  const auto trust = *TrustStore::create(root.cert_pem, "root");
  const auto name = trust.root_of(chain, kEpoch, TrustStore::Time::kChecked);
  ASSERT_TRUE(name);
  EXPECT_THAT(*name, testing::StartsWith("CN=root "));
  const auto other = *TrustStore::create(test::make_ca("root").cert_pem, "other");
  EXPECT_FALSE(other.root_of(chain, kEpoch, TrustStore::Time::kChecked));
}

TEST(TrustStoreTest, UsageAndTimeAreChecked) {
  const auto root = test::make_ca("root");
  const auto trust = *TrustStore::create(root.cert_pem, "root");
  const auto client = issue({.name = "client", .usage = "clientAuth"}, &root);
  EXPECT_FALSE(trust.root_of(*parse_pem_chain(client.cert_pem, "client"), kEpoch,
                             TrustStore::Time::kChecked));
  const auto old = issue({.name = "old", .to = kEpoch - 1h}, &root);
  const auto chain = *parse_pem_chain(old.cert_pem, "old");
  EXPECT_FALSE(trust.root_of(chain, kEpoch, TrustStore::Time::kChecked));
  EXPECT_TRUE(trust.root_of(chain, kEpoch, TrustStore::Time::kIgnored));
}

TEST(NamesTest, WildcardsStandForOneLabel) {
  const auto names = some_names();
  EXPECT_TRUE(names.has_dns("kubernetes"));
  EXPECT_TRUE(names.has_dns("a.example.org"));
  EXPECT_FALSE(names.has_dns("a.b.example.org"));
  EXPECT_FALSE(names.has_dns("example.org"));
  EXPECT_FALSE(names.has_dns(".example.org"));
  EXPECT_FALSE(names.has_dns("apiserver-loopback-client"));
  EXPECT_TRUE(names.has_address(*Endpoint::from_address("198.18.0.1", 6443)));
  EXPECT_TRUE(names.has_address(*Endpoint::from_address("::ffff:198.18.0.1", 0)));
  EXPECT_FALSE(names.has_address(*Endpoint::from_address("198.18.0.2", 443)));
}

}  // namespace
}  // namespace holdfast::tls
