#include "tls/identities.h"

#include <gtest/gtest.h>

#include <filesystem>

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

TEST_F(IdentitiesTest, AKubeletsSymbolicLinkMovesToANewFile) {
  const auto first = kubelet("n1");
  const auto second = kubelet("n1");
  const auto link = directory_.file("kubelet-client-current.pem");
  const auto point_to = [&](const std::string& file) {
    std::filesystem::create_symlink(file, link + ".updated");
    std::filesystem::rename(link + ".updated", link);
  };
  point_to(directory_.write("kubelet-client-1.pem", first.cert_pem + first.key_pem));
  Identities identities{{{link, link}}};
  EXPECT_TRUE(identities.has(print_of(first)));
  const auto next = directory_.write("kubelet-client-2.pem", second.cert_pem + second.key_pem);
  EXPECT_FALSE(identities.find(print_of(second))) << "not in force yet";
  point_to(next);
  EXPECT_FALSE(identities.has(print_of(second))) << "only who looks sees it";
  EXPECT_TRUE(identities.find(print_of(second)));
  EXPECT_TRUE(identities.find(print_of(first))) << "connections that are open used it";
}

TEST_F(IdentitiesTest, APairInsideAKubeconfigIsFollowed) {
  const auto base64 = [](const std::string& text) {
    std::string out(text.size() * 2, '\0');
    out.resize(static_cast<std::size_t>(EVP_EncodeBlock(
        reinterpret_cast<unsigned char*>(out.data()),
        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()))));
    return out;
  };
  const auto kubeconfig = [&](const test::Pair& pair) {
    return "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
           "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
           "users:\n- name: other\n  user: {token: t}\n- name: u\n  user:\n"
           "    client-certificate-data: " +
           base64(pair.cert_pem) + "\n    client-key-data: " + base64(pair.key_pem) + "\n";
  };
  const auto first = kubelet("n1");
  const auto second = kubelet("n1");
  const auto path = directory_.write("kubelet.conf", kubeconfig(first));
  Identities identities{{{path, path}}};
  const auto found = identities.find(print_of(first));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->chain_pem, first.cert_pem);
  directory_.write("kubelet.conf", kubeconfig(second));
  EXPECT_TRUE(identities.find(print_of(second)));
  directory_.write("kubelet.conf", "apiVersion: v1\nkind: Config\nusers: []\n");
  identities.reload();
  EXPECT_TRUE(identities.find(print_of(second))) << "what was there stays until there is another";
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
