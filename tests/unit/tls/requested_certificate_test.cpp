#include "tls/requested_certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "holdfast/tls/terminator.h"
#include "tls/certificate_request.h"
#include "unit/tls/terminator_fixture.h"

namespace holdfast::tls {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class RequestedCertificateTest : public TerminatorFixture {
 protected:
  std::shared_ptr<RequestedCertificate> requested() {
    Names listener;
    listener.add_address(*Endpoint::from_address("169.254.77.1", 0));
    return std::make_shared<RequestedCertificate>(directory_.file("state"), listener,
                                                  clock_.wall());
  }
  std::unique_ptr<Terminator> terminator(std::shared_ptr<RequestedCertificate> requested) {
    auto o = options();
    o.source = "csr";
    o.listener_addresses = {"169.254.77.1"};
    o.requested = std::move(requested);
    return make(std::move(o));
  }
  /// What a signer would issue for these names.
  ServingPair issued(const std::string& names, const test::Pair* ca = nullptr) {
    const auto pair = test::issue({.name = "system:node:n1", .names = names, .usage = "serverAuth"},
                                  ca ? ca : &ca_);
    return *ServingPair::create(pair.cert_pem, pair.key_pem, "issued");
  }
  Result<void> learn(Terminator& terminator) {
    return terminator.learn_target(target_, {server_certificate(ca_).der});
  }
  static constexpr const char* kAll =
      "DNS:kubernetes,DNS:kubernetes.default.svc,IP:198.18.0.1,IP:192.0.2.10,IP:169.254.77.1";
};

TEST_F(RequestedCertificateTest, NothingIsAskedForBeforeAServerWasSeen) {
  const auto certificate = requested();
  EXPECT_TRUE(certificate->wanted(clock_.wall()).empty());
  EXPECT_FALSE(certificate->pair());
  EXPECT_FALSE(certificate->pending());
}

TEST_F(RequestedCertificateTest, MirrorsTheServersNamesAndAddsTheListeners) {
  const auto certificate = requested();
  const auto made = terminator(certificate);
  const auto learned = learn(*made);
  ASSERT_FALSE(learned);
  EXPECT_THAT(learned.error().message, HasSubstr("not issued yet"));
  EXPECT_FALSE(made->ready(target_));
  EXPECT_EQ(decide(*made).reason, Reason::kNoCertificate);
  EXPECT_EQ(certificate->wanted(clock_.wall()), issued(kAll).names);
}

TEST_F(RequestedCertificateTest, AServerOfAnotherRootMirrorsNothing) {
  const auto certificate = requested();
  const auto made = terminator(certificate);
  EXPECT_FALSE(made->learn_target(target_, {server_certificate(test::make_ca("other")).der}));
  EXPECT_TRUE(certificate->wanted(clock_.wall()).empty());
}

TEST_F(RequestedCertificateTest, WhatIsIssuedIsServedFromTheNextConnectionOn) {
  const auto certificate = requested();
  const auto made = terminator(certificate);
  (void)learn(*made);
  ASSERT_TRUE(certificate->adopt(issued(kAll)));
  made->refresh();
  EXPECT_TRUE(made->ready(target_));
  const SslPtr before{made->new_server_ssl(target_)};
  const auto first = fingerprint(SSL_get_certificate(before.get()));

  ASSERT_TRUE(certificate->adopt(issued(kAll)));
  made->refresh();
  const SslPtr after{made->new_server_ssl(target_)};
  EXPECT_NE(fingerprint(SSL_get_certificate(after.get())), first);
  // A handshake that had begun ends with what it began with.
  EXPECT_EQ(fingerprint(SSL_get_certificate(before.get())), first);
}

TEST_F(RequestedCertificateTest, OneOfAnotherRootIsNeverServed) {
  const auto certificate = requested();
  const auto made = terminator(certificate);
  (void)learn(*made);
  const auto other = test::make_ca("other");
  ASSERT_TRUE(certificate->adopt(issued(kAll, &other)));
  made->refresh();
  EXPECT_FALSE(made->ready(target_));
  EXPECT_EQ(decide(*made).reason, Reason::kChainMismatch);
}

TEST_F(RequestedCertificateTest, AServerWithNoNameInItStaysDirect) {
  const auto certificate = requested();
  const auto made = terminator(certificate);
  ASSERT_TRUE(certificate->adopt(issued("DNS:other,IP:169.254.77.1")));
  EXPECT_FALSE(learn(*made));
  EXPECT_FALSE(made->ready(target_));
}

TEST_F(RequestedCertificateTest, ARestartOfflineServes) {
  {
    const auto certificate = requested();
    const auto made = terminator(certificate);
    (void)learn(*made);
    ASSERT_TRUE(certificate->adopt(issued(kAll)));
    made->refresh();
  }
  const auto again = terminator(requested());
  EXPECT_TRUE(again->ready(target_));
  struct stat info {};
  ASSERT_EQ(::stat(directory_.file("state/serving.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  ASSERT_EQ(::stat(directory_.file("state").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
  // The key is in one file only.
  EXPECT_THAT(directory_.read("state/target-198.18.0.1_443.json"),
              testing::Not(HasSubstr("PRIVATE KEY")));
}

TEST_F(RequestedCertificateTest, APendingRequestOutlivesARestart) {
  const auto key = make_certificate_request("n1", issued(kAll).names)->key_pem;
  ASSERT_TRUE(requested()->set_pending(
      PendingRequest{.name = "r", .uid = "u", .key_pem = key, .names = issued(kAll).names}));
  const auto pending = requested()->pending();
  ASSERT_TRUE(pending);
  EXPECT_EQ(pending->name, "r");
  EXPECT_EQ(pending->uid, "u");
  EXPECT_EQ(pending->key_pem, key);
  EXPECT_EQ(pending->names, issued(kAll).names);
  struct stat info {};
  ASSERT_EQ(::stat(directory_.file("state/request.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  ASSERT_TRUE(requested()->set_pending(std::nullopt));
  EXPECT_FALSE(requested()->pending());
}

TEST_F(RequestedCertificateTest, DamagedFilesAreAsGoodAsNone) {
  std::filesystem::create_directories(directory_.file("state"));
  for (const char* text : {"", "{}", "not json", R"({"format":1,"name":3})"}) {
    directory_.write("state/serving.pem", text);
    directory_.write("state/request.json", text);
    EXPECT_FALSE(requested()->pair()) << text;
    EXPECT_FALSE(requested()->pending()) << text;
  }
}

TEST_F(RequestedCertificateTest, NamesOfSeveralServersBehindOneAddressAddUpAndAreForgotten) {
  const auto certificate = requested();
  Names one, two;
  one.dns = {"kubernetes", "one"};
  two.dns = {"kubernetes", "two"};
  certificate->seen(one, clock_.wall());
  clock_.advance(1h);
  certificate->seen(two, clock_.wall());
  EXPECT_EQ(certificate->wanted(clock_.wall()).dns,
            (std::set<std::string>{"kubernetes", "one", "two"}));
  clock_.advance(24h);
  EXPECT_EQ(certificate->wanted(clock_.wall()).dns, (std::set<std::string>{"kubernetes", "two"}));
}

TEST_F(RequestedCertificateTest, AutoTakesFilesThenACaThenRequests) {
  auto o = options();
  o.requested = requested();
  o.ca_key_file.clear();
  EXPECT_FALSE(learn(*make(o)));  // nothing was issued
  EXPECT_TRUE(learn(*make(options())));
  const auto own = issued(kAll);
  o = options();
  o.cert_file = directory_.write("own.crt", own.chain_pem);
  o.key_file = directory_.write("own.key", own.key_pem);
  const auto made = make(o);
  ASSERT_TRUE(learn(*made));
  const SslPtr ssl{made->new_server_ssl(target_)};
  const auto chain = *parse_pem_chain(own.chain_pem, "own");
  EXPECT_EQ(fingerprint(SSL_get_certificate(ssl.get())), fingerprint(chain.front().get()));
}

class NodePairTest : public RequestedCertificateTest {
 protected:
  Endpoint balancer_ = *Endpoint::parse("127.0.0.1:6444");

  TerminatorOptions k3s(const test::Pair& pair) {
    auto o = options();
    o.source = "csr";
    o.requested = requested();
    o.node_cert_file = directory_.write("serving-kubelet.crt", pair.cert_pem);
    o.node_key_file = directory_.write("serving-kubelet.key", pair.key_pem);
    return o;
  }
  test::Pair node_pair(const test::Pair& ca, std::chrono::hours life = 24h) {
    return test::issue({.name = "n1",
                        .names = "DNS:localhost,DNS:n1,IP:127.0.0.1",
                        .usage = "serverAuth",
                        .to = test::kEpoch + life},
                       &ca);
  }
  std::string server_der() {
    return server_certificate(ca_, std::string{kServerNames} + ",DNS:localhost,IP:127.0.0.1").der;
  }
};

TEST_F(NodePairTest, ServesTheBalancerOnLoopbackAndNothingElse) {
  const auto made = make(k3s(node_pair(ca_)));
  EXPECT_TRUE(made->learn_target(balancer_, {server_der()}));
  EXPECT_TRUE(made->ready(balancer_));
  EXPECT_FALSE(made->learn_target(target_, {server_der()}));
  EXPECT_FALSE(made->ready(target_));
  EXPECT_THAT(directory_.read("state/target-127.0.0.1_6444.json"),
              testing::Not(HasSubstr("PRIVATE KEY")));
}

TEST_F(NodePairTest, ServesAfterARestartOffline) {
  const auto o = k3s(node_pair(ca_));
  ASSERT_TRUE(make(o)->learn_target(balancer_, {server_der()}));
  EXPECT_TRUE(make(o)->ready(balancer_));
}

TEST_F(NodePairTest, OneOfAnotherRootIsNotServed) {
  const auto made = make(k3s(node_pair(test::make_ca("other"))));
  EXPECT_FALSE(made->learn_target(balancer_, {server_der()}));
  EXPECT_FALSE(made->ready(balancer_));
}

TEST_F(NodePairTest, OneThatEndsIsReplacedByWhatK3sWritesNext) {
  const auto made = make(k3s(node_pair(ca_, 1h)));
  ASSERT_TRUE(made->learn_target(balancer_, {server_der()}));
  clock_.advance(2h);
  made->refresh();
  EXPECT_FALSE(made->ready(balancer_));
  const auto next = node_pair(ca_);
  directory_.write("serving-kubelet.crt", next.cert_pem);
  directory_.write("serving-kubelet.key", next.key_pem);
  made->refresh();
  EXPECT_TRUE(made->ready(balancer_));
}

TEST_F(NodePairTest, AnotherPairServesLoopbackWhereThereIsNone) {
  auto o = options();
  o.node_cert_file = directory_.file("absent.crt");
  o.node_key_file = directory_.file("absent.key");
  const auto made = make(o);
  EXPECT_TRUE(made->learn_target(balancer_, {server_der()}));
  EXPECT_TRUE(made->ready(balancer_));
}

}  // namespace
}  // namespace holdfast::tls
