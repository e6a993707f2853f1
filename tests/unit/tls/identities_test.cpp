#include "tls/identities.h"

#include <gtest/gtest.h>

#include "tls/certificate.h"
#include "unit/tls/pki.h"

namespace holdfast::tls {
namespace {

std::string print_of(const test::Pair& pair) {
  return fingerprint(parse_pem_chain(pair.cert_pem, "pair")->front().get());
}

class IdentitiesTest : public testing::Test {
 protected:
  test::Pair kubelet(const std::string& node) {
    return test::issue(
        {.name = "system:node:" + node, .organization = "system:nodes", .usage = "clientAuth"},
        &ca_);
  }

  test::Pair ca_ = test::make_ca("client-ca");
  test::TemporaryDirectory directory_;
};

TEST_F(IdentitiesTest, ACertificateAndItsKeyInTwoFiles) {
  const auto pair = kubelet("n1");
  Identities identities{{{directory_.write("a.crt", pair.cert_pem + ca_.cert_pem),
                          directory_.write("a.key", pair.key_pem)}}};
  const auto found = identities.find(print_of(pair));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->fingerprint.size(), 64U);
  EXPECT_EQ(found->subject, "CN=system:node:n1,O=system:nodes");
  EXPECT_EQ(found->chain_pem, pair.cert_pem + ca_.cert_pem);
  EXPECT_EQ(found->not_after, test::kEpoch + std::chrono::hours{24 * 365});
  EXPECT_EQ(identities.find(print_of(kubelet("n1"))), nullptr);
  EXPECT_EQ(identities.all().size(), 1U);
}

TEST_F(IdentitiesTest, ARotationInOneFileIsSeenAtOnceAndTheFormerPairStays) {
  const auto first = kubelet("n1");
  const auto path = directory_.write("kubelet-client-current.pem", first.cert_pem + first.key_pem);
  Identities identities{{{path, path}}};
  const auto found = identities.find(print_of(first));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->chain_pem.find("PRIVATE"), std::string::npos);

  const auto second = kubelet("n1");
  directory_.write("kubelet-client-current.pem", second.cert_pem + second.key_pem);
  EXPECT_TRUE(identities.find(print_of(second)));
  EXPECT_TRUE(identities.find(print_of(first)));
  EXPECT_EQ(identities.all().size(), 1U);

  const auto third = kubelet("n1");
  directory_.write("kubelet-client-current.pem", third.cert_pem + third.key_pem);
  identities.reload();
  EXPECT_TRUE(identities.find(print_of(third)));
  EXPECT_FALSE(identities.find(print_of(first)));
}

TEST_F(IdentitiesTest, HalfARotationKeepsTheFormerPairUntilBothAreThere) {
  const auto first = kubelet("n1");
  const auto second = kubelet("n1");
  Identities identities{
      {{directory_.write("a.crt", first.cert_pem), directory_.write("a.key", first.key_pem)}}};
  directory_.write("a.crt", second.cert_pem);
  EXPECT_FALSE(identities.find(print_of(second)));
  EXPECT_TRUE(identities.find(print_of(first)));
  directory_.write("a.key", second.key_pem);
  EXPECT_TRUE(identities.find(print_of(second)));
}

TEST_F(IdentitiesTest, FilesMayComeLaterAndNonsenseIsNoIdentity) {
  const auto pair = kubelet("n1");
  Identities identities{{{directory_.file("late.pem"), directory_.file("late.pem")},
                         {directory_.write("bad.pem", "nonsense"), directory_.file("bad.pem")}}};
  EXPECT_FALSE(identities.find(print_of(pair)));
  directory_.write("late.pem", pair.cert_pem + pair.key_pem);
  EXPECT_TRUE(identities.find(print_of(pair)));
  EXPECT_EQ(identities.all().size(), 1U);
}

}  // namespace
}  // namespace holdfast::tls
