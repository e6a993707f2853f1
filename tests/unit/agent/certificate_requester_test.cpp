#include "agent/certificate_requester.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "tls/certificate_request.h"
#include "tls/openssl.h"
#include "unit/tls/pki.h"

namespace holdfast::agent {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// An API server whose people and signer the test plays.
class FakeApi final : public SigningApi {
 public:
  Task<Result<SigningState>> create(upstream::Identity identity, std::string json) override {
    ++creates;
    if (error) co_return *error;
    as = identity->common_name();
    body = nlohmann::json::parse(json);
    state = SigningState{.name = "csr-" + std::to_string(creates),
                         .uid = "uid-" + std::to_string(creates)};
    co_return *state;
  }
  Task<Result<SigningState>> get(upstream::Identity, std::string name) override {
    ++gets;
    if (error) co_return *error;
    if (!state || state->name != name) co_return make_error(Errc::kNotFound, "not found");
    co_return *state;
  }
  int creates = 0, gets = 0;
  std::string as;
  nlohmann::json body;
  std::optional<SigningState> state;
  std::optional<Error> error;
};

class CertificateRequesterTest : public testing::Test {
 protected:
  CertificateRequesterTest() { start(); }

  /// As after a restart of the agent; what is on disk stays.
  void start() {
    certificate_ = std::make_shared<tls::RequestedCertificate>(directory_.file("state"),
                                                               tls::Names{}, clock_.wall());
    auto api = std::make_unique<FakeApi>();
    if (api_ != nullptr) {
      api->state = api_->state;
      api->creates = api_->creates;
    }
    api_ = api.get();
    requester_ = std::make_unique<CertificateRequester>(
        CertificateRequester::Parts{.certificate = certificate_,
                                    .api = std::move(api),
                                    .node = "n1",
                                    .lifetime = 30 * 24h,
                                    .identities = [this] { return identities_; },
                                    .online = [this] { return online_; },
                                    .on_issued = [this] { ++issued_; },
                                    .on_state = [this](std::string s) { states_.push_back(s); }},
        clock_);
  }
  void see(std::set<std::string> names) {
    certificate_->seen(tls::Names{.dns = std::move(names), .addresses = {}}, clock_.wall());
  }
  /// One step; the clock moves by what it asked to wait.
  std::chrono::milliseconds step() {
    std::chrono::milliseconds wait{0};
    boost::asio::io_context io;
    auto once = [](CertificateRequester* requester, std::chrono::milliseconds* out) -> Task<> {
      *out = co_await requester->step();
    };
    boost::asio::co_spawn(io.get_executor(), once(requester_.get(), &wait), boost::asio::detached);
    io.run();
    EXPECT_GT(wait, 0ms);
    clock_.advance(std::chrono::ceil<std::chrono::seconds>(wait));
    return wait;
  }
  /// What a signer would issue for the pending request: its key, these names.
  std::string sign(const std::string& names, std::chrono::hours life = 30 * 24h) {
    const auto pending = certificate_->pending();
    const auto key = *tls::parse_pem_key(pending->key_pem, "pending");
    const auto pair = tls::test::issue({.name = "system:node:n1",
                                        .names = names,
                                        .usage = "serverAuth",
                                        .from = clock_.wall() - 5min,
                                        .to = clock_.wall() + life});
    // The test's issuer makes keys of its own: the requester's goes in, under a new signature.
    const auto chain = *tls::parse_pem_chain(pair.cert_pem, "issued");
    const auto signer = *tls::parse_pem_key(pair.key_pem, "signer");
    X509_set_pubkey(chain.front().get(), key.get());
    X509_sign(chain.front().get(), signer.get(), EVP_sha256());
    return tls::to_pem(chain);
  }
  void get_one() {
    see({"kubernetes"});
    step();
    api_->state->approved = true;
    api_->state->certificate_pem = sign("DNS:kubernetes");
    step();
    ASSERT_TRUE(certificate_->pair());
  }

  tls::test::FakeClock clock_;
  tls::test::TemporaryDirectory directory_;
  std::vector<std::shared_ptr<const tls::ClientIdentity>> identities_ = [] {
    const auto pair = tls::test::issue({.name = "system:node:n1", .organization = "system:nodes"});
    return std::vector{std::make_shared<const tls::ClientIdentity>(
        tls::ClientIdentity{.subject = "CN=system:node:n1,O=system:nodes",
                            .chain_pem = pair.cert_pem,
                            .key_pem = pair.key_pem,
                            .not_after = tls::test::kEpoch + 24h * 365})};
  }();
  bool online_ = true;
  int issued_ = 0;
  std::vector<std::string> states_;
  std::shared_ptr<tls::RequestedCertificate> certificate_;
  FakeApi* api_ = nullptr;
  std::unique_ptr<CertificateRequester> requester_;
};

TEST_F(CertificateRequesterTest, AsksForNothingBeforeAServerWasSeen) {
  step();
  step();
  EXPECT_EQ(api_->creates, 0);
  EXPECT_THAT(states_, ElementsAre(HasSubstr("waiting for the API server")));
}

TEST_F(CertificateRequesterTest, AsksWithTheNodesAccessForTheMirroredNames) {
  see({"kubernetes", "other"});
  step();
  EXPECT_EQ(api_->creates, 1);
  EXPECT_EQ(api_->as, "system:node:n1");
  EXPECT_EQ(api_->body["spec"]["expirationSeconds"], 30 * 24 * 3600);
  const std::string encoded = api_->body["spec"]["request"];
  std::string pem(encoded.size(), '\0');
  EVP_DecodeBlock(reinterpret_cast<unsigned char*>(pem.data()),
                  reinterpret_cast<const unsigned char*>(encoded.data()),
                  static_cast<int>(encoded.size()));
  const auto content = tls::parse_certificate_request(pem.substr(0, pem.find('\0')));
  ASSERT_TRUE(content) << content.error().to_string();
  EXPECT_EQ(content->common_name, "system:node:n1");
  EXPECT_EQ(content->names.dns, (std::set<std::string>{"kubernetes", "other"}));
  EXPECT_THAT(states_.back(), HasSubstr("kubectl certificate approve csr-1"));
}

TEST_F(CertificateRequesterTest, EachStateIsToldOnceAndWaitingGrowsLonger) {
  see({"kubernetes"});
  std::chrono::milliseconds last{0};
  for (int i = 0; i < 12; ++i) {
    const auto wait = step();
    EXPECT_GE(wait, last);
    EXPECT_LE(wait, CertificateRequester::kPollMax);
    last = wait;
  }
  EXPECT_EQ(api_->creates, 1);
  EXPECT_EQ(api_->gets, 11);
  api_->state->approved = true;
  step();
  api_->state->certificate_pem = sign("DNS:kubernetes");
  step();
  step();
  EXPECT_THAT(states_,
              ElementsAre(HasSubstr("awaiting approval"), HasSubstr("awaiting its certificate"),
                          HasSubstr("valid until")));
  EXPECT_EQ(issued_, 1);
  EXPECT_FALSE(certificate_->pending());
}

TEST_F(CertificateRequesterTest, ARestartWaitsForTheSameRequest) {
  see({"kubernetes"});
  step();
  start();
  see({"kubernetes"});
  api_->state->certificate_pem = sign("DNS:kubernetes");
  step();
  EXPECT_EQ(api_->creates, 1);
  EXPECT_TRUE(certificate_->pair());
  start();
  EXPECT_TRUE(certificate_->pair());
}

TEST_F(CertificateRequesterTest, RenewsAtTwoThirdsAndServesTheFormerMeanwhile) {
  get_one();
  const auto former = certificate_->pair();
  clock_.advance(19 * 24h);
  see({"kubernetes"});
  step();
  EXPECT_EQ(api_->creates, 1);
  clock_.advance(24h + 1h);
  see({"kubernetes"});
  step();
  EXPECT_EQ(api_->creates, 2);
  EXPECT_EQ(certificate_->pair(), former);
  api_->state->certificate_pem = sign("DNS:kubernetes");
  step();
  EXPECT_NE(certificate_->pair(), former);
  EXPECT_NE(certificate_->pair()->key_pem, former->key_pem);
  EXPECT_EQ(issued_, 2);
}

TEST_F(CertificateRequesterTest, AsksAgainWhenTheServersHaveMoreNames) {
  get_one();
  see({"kubernetes", "new"});
  step();
  EXPECT_EQ(api_->creates, 2);
  // And once more while that one is pending.
  see({"newer"});
  step();
  EXPECT_EQ(api_->creates, 3);
  EXPECT_EQ(certificate_->pending()->names.dns,
            (std::set<std::string>{"kubernetes", "new", "newer"}));
}

TEST_F(CertificateRequesterTest, AsksAgainWithoutNamesThatNobodyHasAnyMore) {
  see({"kubernetes", "old"});
  step();
  api_->state->certificate_pem = sign("DNS:kubernetes,DNS:old");
  step();
  ASSERT_TRUE(certificate_->pair());
  clock_.advance(25h);
  see({"kubernetes"});
  step();
  EXPECT_EQ(api_->creates, 2);
  EXPECT_EQ(certificate_->pending()->names.dns, (std::set<std::string>{"kubernetes"}));
}

TEST_F(CertificateRequesterTest, ADenialIsTakenForAnAnswerForAWhile) {
  see({"kubernetes"});
  step();
  std::chrono::milliseconds last{0};
  for (int i = 1; i <= 9; ++i) {
    EXPECT_EQ(api_->creates, i);
    api_->state->denied = "No: not you";
    const auto wait = step();
    EXPECT_GE(wait, std::max<std::chrono::milliseconds>(last, 1min));
    EXPECT_LE(wait, 1h);
    last = wait;
    see({"kubernetes"});
    step();
  }
  EXPECT_THAT(states_[1], HasSubstr("csr-1 was denied (No: not you)"));
  EXPECT_EQ(issued_, 0);
}

TEST_F(CertificateRequesterTest, AFailureOfTheSignerAndARequestThatIsGoneAreAskedForAgain) {
  see({"kubernetes"});
  step();
  api_->state->failed = "SignerValidationFailure";
  step();
  EXPECT_THAT(states_.back(), HasSubstr("failed (SignerValidationFailure)"));
  step();
  EXPECT_EQ(api_->creates, 2);
  api_->state.reset();
  step();
  EXPECT_THAT(states_.back(), HasSubstr("gone"));
  step();
  EXPECT_EQ(api_->creates, 3);
}

TEST_F(CertificateRequesterTest, AnotherRequestOfThatNameIsNotOurs) {
  see({"kubernetes"});
  step();
  api_->state->uid = "another";
  api_->state->certificate_pem = sign("DNS:kubernetes");
  step();
  EXPECT_FALSE(certificate_->pair());
  EXPECT_FALSE(certificate_->pending());
}

TEST_F(CertificateRequesterTest, WhatIsOfNoUseIsNotServed) {
  see({"kubernetes"});
  const auto other = tls::test::issue({.name = "system:node:n1", .names = "DNS:kubernetes"});
  for (const auto& make : std::vector<std::function<std::string()>>{
           [] { return std::string{"text"}; }, [&] { return other.cert_pem; },  // of another key
           [&] { return sign("DNS:kubernetes.other"); },                        // without the names
           [&] { return sign("DNS:kubernetes", 0h); }}) {                       // at its end
    step();
    ASSERT_TRUE(certificate_->pending());
    api_->state->certificate_pem = make();
    step();
    EXPECT_FALSE(certificate_->pair());
    EXPECT_THAT(states_.back(), HasSubstr("of no use"));
    see({"kubernetes"});
  }
}

TEST_F(CertificateRequesterTest, ARefusalIsToldInTheServersWords) {
  see({"kubernetes"});
  api_->error = make_error(Errc::kRefused, "forbidden: CN must be the node's");
  for (int i = 0; i < 5; ++i) step();
  EXPECT_THAT(states_, ElementsAre(HasSubstr("forbidden: CN must be the node's")));
  api_->error.reset();
  step();
  EXPECT_THAT(states_.back(), HasSubstr("awaiting approval"));
}

TEST_F(CertificateRequesterTest, OfflineNobodyIsAskedAndTheCertificateStays) {
  get_one();
  online_ = false;
  clock_.advance(29 * 24h);
  see({"kubernetes"});
  step();
  EXPECT_EQ(api_->creates, 1);
  EXPECT_TRUE(certificate_->pair());
  online_ = true;
  step();
  EXPECT_EQ(api_->creates, 2);
}

TEST_F(CertificateRequesterTest, WithoutTheNodesCertificateItSaysWhatIsMissing) {
  identities_.clear();
  see({"kubernetes"});
  step();
  step();
  EXPECT_EQ(api_->creates, 0);
  EXPECT_THAT(states_, ElementsAre(HasSubstr("no valid client certificate of this node")));
}

TEST(NodeIdentity, SubjectsOfNodes) {
  EXPECT_EQ(node_of_subject("CN=system:node:n1,O=system:nodes"), "n1");
  EXPECT_EQ(node_of_subject("O=system:nodes,CN=system:node:n1.example.org"), "n1.example.org");
  for (const char* other :
       {"", "CN=system:node:n1", "CN=n1,O=system:nodes", "CN=system:node:n1,O=system:masters",
        "CN=system:node:n1,OU=x,O=system:nodes", "O=system:nodes",
        "CN=system:node:n1,O=system:masters,O=system:nodes"}) {
    EXPECT_EQ(node_of_subject(other), "") << other;
  }
}

TEST(NodeIdentity, TheConfiguredNodesComesFirst) {
  const auto identity = [](const std::string& subject, std::chrono::hours life) {
    return std::make_shared<const tls::ClientIdentity>(
        tls::ClientIdentity{.subject = subject, .not_after = tls::test::kEpoch + life});
  };
  const std::vector<std::shared_ptr<const tls::ClientIdentity>> all{
      identity("CN=system:kube-proxy", 1h), identity("CN=system:node:old,O=system:nodes", -1h),
      identity("CN=system:node:n2,O=system:nodes", 1h),
      identity("CN=system:node:n1,O=system:nodes", 1h)};
  EXPECT_EQ(node_identity(all, "n1", tls::test::kEpoch), all[3]);
  EXPECT_EQ(node_identity(all, "hostname", tls::test::kEpoch), all[2]);
  EXPECT_EQ(node_identity({all[0], all[1]}, "n1", tls::test::kEpoch), nullptr);
}

}  // namespace
}  // namespace holdfast::agent
