#include "holdfast/tls/terminator.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "tls/certificate.h"
#include "unit/tls/terminator_fixture.h"

namespace holdfast::tls {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TerminatorTest : public TerminatorFixture {
 protected:
  void learn(Terminator& terminator) {
    const auto learned = terminator.learn_target(target_, {server_certificate(ca_).der});
    ASSERT_TRUE(learned) << learned.error().to_string();
  }
  /// What is served now; empty: nothing.
  std::string served(Terminator& terminator) {
    const SslPtr ssl{terminator.new_server_ssl(target_)};
    return ssl ? fingerprint(SSL_get_certificate(ssl.get())) : std::string{};
  }
  std::string state_file() { return directory_.file("state/target-198.18.0.1_443.json"); }
};

TEST_F(TerminatorTest, NothingIsTerminatedBeforeTheServerIsKnown) {
  const auto terminator = make(options());
  EXPECT_FALSE(terminator->ready(target_));
  EXPECT_THAT(terminator->ready_targets(), IsEmpty());
  EXPECT_EQ(decide(*terminator).reason, Reason::kNoCertificate);
  EXPECT_EQ(served(*terminator), "");
  EXPECT_EQ(terminator->new_server_ssl(std::nullopt), nullptr);
}

TEST_F(TerminatorTest, ALearnedTargetIsTerminated) {
  const auto terminator = make(options());
  learn(*terminator);
  EXPECT_TRUE(terminator->ready(target_));
  EXPECT_THAT(terminator->ready_targets(), ElementsAre(target_));
  EXPECT_EQ(decide(*terminator).verdict, Verdict::kTerminate);
  EXPECT_FALSE(terminator->ready(*Endpoint::parse("192.0.2.10:6443")));
  const SslPtr untagged{terminator->new_server_ssl(std::nullopt)};
  EXPECT_TRUE(untagged);
}

TEST_F(TerminatorTest, TheHelloDecides) {
  const auto terminator = make(options());
  learn(*terminator);
  struct Case {
    std::string name;
    std::vector<std::string> alpn;
    Reason reason;
  };
  const Case cases[] = {
      {"", {}, Reason::kNone},
      {"", {"http/1.1"}, Reason::kNone},
      {"kubernetes.default.svc", {"h2", "http/1.1"}, Reason::kNone},
      {"198.18.0.1", {"h2"}, Reason::kNone},
      {"203.0.113.5", {"h2"}, Reason::kOtherName},
      {"apiserver-loopback-client", {"h2"}, Reason::kOtherName},
      {"", {"acme-tls/1"}, Reason::kOtherProtocol},
      {"", {"acme-tls/1", "h2"}, Reason::kNone},
  };
  for (const auto& c : cases) {
    const auto decision = decide(*terminator, c.name, c.alpn);
    EXPECT_EQ(decision.reason, c.reason) << c.name;
    EXPECT_EQ(decision.verdict == Verdict::kTerminate, c.reason == Reason::kNone);
  }
  EXPECT_EQ(terminator->decide({.status = PeekStatus::kNotTls}, target_, client_).reason,
            Reason::kNotTls);
  for (const auto status : {PeekStatus::kMalformed, PeekStatus::kNeedMore}) {
    EXPECT_EQ(terminator->decide({.status = status}, target_, client_).reason,
              Reason::kMalformedHello);
  }
}

TEST_F(TerminatorTest, AServerOfAnotherRootStaysDirect) {
  const auto terminator = make(options());
  const auto other = test::make_ca("other");
  const auto refused = terminator->learn_target(target_, {server_certificate(other).der});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kRefused);
  EXPECT_FALSE(terminator->ready(target_));
  EXPECT_EQ(decide(*terminator).reason, Reason::kChainMismatch);

  // Both roots are trusted upstream, but ours is not the one that this server's clients need.
  directory_.write("both.crt", ca_.cert_pem + other.cert_pem);
  auto both = options();
  both.upstream_ca_file = directory_.file("both.crt");
  const auto second = make(both);
  EXPECT_FALSE(second->learn_target(target_, {server_certificate(other).der}));
  EXPECT_EQ(decide(*second).reason, Reason::kChainMismatch);
}

TEST_F(TerminatorTest, AServerThatChangesItsRootGoesDirectAndComesBack) {
  const auto terminator = make(options());
  learn(*terminator);
  EXPECT_FALSE(terminator->learn_target(target_, {server_certificate(test::make_ca("x")).der}));
  EXPECT_EQ(decide(*terminator).reason, Reason::kChainMismatch);
  EXPECT_NE(::access(state_file().c_str(), F_OK), 0);
  learn(*terminator);
  EXPECT_TRUE(terminator->ready(target_));
  EXPECT_EQ(::access(state_file().c_str(), F_OK), 0);
  EXPECT_FALSE(terminator->learn_target(target_, {}));
  EXPECT_FALSE(terminator->learn_target(target_, {"not DER"}));
  EXPECT_TRUE(terminator->ready(target_));
}

TEST_F(TerminatorTest, NeverServedOutsideItsValidity) {
  auto opts = options();
  opts.lifetime = 24h;
  const auto terminator = make(opts);
  learn(*terminator);
  clock_.advance(24h + 1s);
  EXPECT_FALSE(terminator->ready(target_));
  EXPECT_EQ(decide(*terminator).reason, Reason::kNoCertificate);
  EXPECT_EQ(served(*terminator), "");
  terminator->refresh();
  EXPECT_TRUE(terminator->ready(target_));
  clock_.advance(-48h);  // the clock was set back
  EXPECT_EQ(decide(*terminator).reason, Reason::kNoCertificate);
}

TEST_F(TerminatorTest, RenewedAtTwoThirdsOfItsLife) {
  auto opts = options();
  opts.lifetime = 30h;
  const auto terminator = make(opts);
  learn(*terminator);
  const auto first = served(*terminator);
  clock_.advance(19h);
  terminator->refresh();
  EXPECT_EQ(served(*terminator), first);
  clock_.advance(2h);
  terminator->refresh();
  EXPECT_NE(served(*terminator), first);
}

TEST_F(TerminatorTest, ARestartServesAtOnceWithTheSameCertificate) {
  auto terminator = make(options());
  learn(*terminator);
  const auto first = served(*terminator);
  struct stat info {};
  ASSERT_EQ(::stat(state_file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  ASSERT_EQ(::stat(directory_.file("state").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);

  terminator = make(options());
  EXPECT_TRUE(terminator->ready(target_));
  EXPECT_EQ(served(*terminator), first);
  EXPECT_EQ(decide(*terminator, "apiserver-loopback-client").reason, Reason::kOtherName);

  // The listener moved: the kept certificate lacks the new address.
  auto moved = options();
  moved.listener_addresses = {"169.254.77.9"};
  terminator = make(moved);
  EXPECT_TRUE(terminator->ready(target_));
  EXPECT_NE(served(*terminator), first);

  directory_.write("state/target-198.18.0.1_443.json", "{broken");
  terminator = make(options());
  EXPECT_FALSE(terminator->ready(target_));
}

TEST_F(TerminatorTest, ANewServerCertificateWithOtherNamesIsMirrored) {
  const auto terminator = make(options());
  learn(*terminator);
  const auto first = served(*terminator);
  EXPECT_EQ(decide(*terminator, "api.example.org").reason, Reason::kOtherName);
  ASSERT_TRUE(terminator->learn_target(
      target_, {server_certificate(ca_, "DNS:api.example.org,IP:198.18.0.1").der}));
  EXPECT_NE(served(*terminator), first);
  EXPECT_EQ(decide(*terminator, "api.example.org").reason, Reason::kNone);
  EXPECT_EQ(decide(*terminator, "kubernetes").reason, Reason::kOtherName);
}

TEST_F(TerminatorTest, AClientThatFailedIsSplicedOthersAreNot) {
  const auto terminator = make(options());
  learn(*terminator);
  terminator->handshake_failed(client_, Reason::kHandshakeFailed);
  EXPECT_EQ(decide(*terminator).reason, Reason::kHandshakeFailed);
  client_.executable = "/other";
  EXPECT_EQ(decide(*terminator).reason, Reason::kNone);
  client_.executable = "/app";
  clock_.advance(10min);
  EXPECT_EQ(decide(*terminator).reason, Reason::kNone);
  terminator->handshake_succeeded(client_);
  EXPECT_EQ(decide(*terminator).reason, Reason::kNone);
}

TEST_F(TerminatorTest, ACaFileThatChangesIsFollowed) {
  const auto terminator = make(options());
  learn(*terminator);
  const auto next = test::make_ca("next");
  directory_.write("ca.crt", "half a file");
  terminator->refresh();
  EXPECT_TRUE(terminator->ready(target_));  // the last good one stays in force
  directory_.write("ca.crt", next.cert_pem);
  directory_.write("ca.key", next.key_pem);
  terminator->refresh();
  EXPECT_EQ(decide(*terminator).reason, Reason::kChainMismatch);
  ASSERT_TRUE(terminator->learn_target(target_, {server_certificate(next).der}));
  EXPECT_TRUE(terminator->ready(target_));
}

TEST_F(TerminatorTest, AWrongCaAtAStartDoesNotCostWhatWasKept) {
  auto terminator = make(options());
  learn(*terminator);
  const auto first = served(*terminator);
  auto wrong = options();
  wrong.upstream_ca_file = directory_.write("wrong.crt", test::make_ca("wrong").cert_pem);
  terminator = make(wrong);
  EXPECT_EQ(decide(*terminator).reason, Reason::kChainMismatch);
  terminator = make(options());
  EXPECT_EQ(served(*terminator), first);
}

TEST_F(TerminatorTest, WhatCouldNotBeKeptIsKeptLater) {
  auto opts = options();
  opts.state_directory = directory_.write("state", "a file is in the way") + "/tls";
  auto terminator = make(opts);
  learn(*terminator);
  EXPECT_TRUE(terminator->ready(target_));
  std::filesystem::remove(directory_.file("state"));
  terminator->refresh();
  const auto first = served(*terminator);
  terminator = make(opts);
  EXPECT_EQ(served(*terminator), first);
}

TEST_F(TerminatorTest, DecisionsGoOnWhileCertificatesAreReplaced) {
  const auto terminator = make(options());
  learn(*terminator);
  std::atomic<bool> done = false;
  std::vector<std::jthread> deciders;
  for (std::uint64_t i = 0; i < 3; ++i) {
    deciders.emplace_back([&, i] {
      const ClientKey client{
          .workload = std::to_string(i), .executable = "/app", .target = target_};
      const PeekResult peek{.status = PeekStatus::kHello, .need = 0, .hello = {}};
      while (!done) {
        EXPECT_EQ(terminator->decide(peek, target_, client).verdict, Verdict::kTerminate);
        const SslPtr ssl{terminator->new_server_ssl(target_)};
        EXPECT_TRUE(ssl);
        terminator->handshake_succeeded(client);
      }
    });
  }
  for (int round = 0; round < 20; ++round) {
    // Other names each time, so that another certificate is minted.
    const auto names = "IP:198.18.0.1,DNS:n" + std::to_string(round);
    EXPECT_TRUE(terminator->learn_target(target_, {server_certificate(ca_, names).der}));
    terminator->refresh();
  }
  done = true;
}

class FilesTerminatorTest : public TerminatorTest {
 protected:
  TerminatorOptions files(const std::string& names, std::chrono::hours until = 24h * 30) {
    write_pair(names, until);
    auto opts = options();
    opts.cert_file = directory_.file("tls.crt");
    opts.key_file = directory_.file("tls.key");
    opts.ca_cert_file.clear();
    opts.ca_key_file.clear();
    return opts;
  }
  void write_pair(const std::string& names, std::chrono::hours until) {
    const auto pair = test::issue(
        {.name = "ours", .names = names, .usage = "serverAuth", .to = test::kEpoch + until}, &ca_);
    directory_.write("tls.crt", pair.cert_pem);
    directory_.write("tls.key", pair.key_pem);
  }
};

TEST_F(FilesTerminatorTest, ServedWhereItsNamesReach) {
  const auto terminator = make(files("DNS:kubernetes,IP:198.18.0.1"));
  learn(*terminator);
  EXPECT_EQ(decide(*terminator).reason, Reason::kNone);
  EXPECT_EQ(decide(*terminator, "kubernetes").reason, Reason::kNone);
  EXPECT_EQ(decide(*terminator, "kubernetes.default.svc").reason, Reason::kNoCertificate);
  EXPECT_EQ(decide(*terminator, "elsewhere").reason, Reason::kOtherName);
}

TEST_F(FilesTerminatorTest, NotServedToThoseWhoDialAnAddressThatItLacks) {
  const auto terminator = make(files("DNS:kubernetes,IP:127.0.0.1"));
  learn(*terminator);
  EXPECT_EQ(decide(*terminator).reason, Reason::kNoCertificate);
  EXPECT_EQ(decide(*terminator, "kubernetes").reason, Reason::kNone);
}

TEST_F(FilesTerminatorTest, ExpiryAndReplacement) {
  const auto opts = files("IP:198.18.0.1", 24h);
  auto terminator = make(opts);
  learn(*terminator);
  EXPECT_TRUE(terminator->ready(target_));
  clock_.advance(25h);
  terminator->refresh();
  EXPECT_FALSE(terminator->ready(target_));
  EXPECT_EQ(decide(*terminator).reason, Reason::kNoCertificate);
  write_pair("IP:198.18.0.1", 24h * 60);
  terminator->refresh();
  EXPECT_TRUE(terminator->ready(target_));
  terminator = make(opts);
  EXPECT_TRUE(terminator->ready(target_));
}

TEST_F(FilesTerminatorTest, TheOperatorsKeyIsNotCopied) {
  const auto terminator = make(files("IP:198.18.0.1"));
  learn(*terminator);
  const auto record = directory_.read("state/target-198.18.0.1_443.json");
  EXPECT_THAT(record, HasSubstr("server_chain"));
  EXPECT_THAT(record, testing::Not(HasSubstr("PRIVATE")));
}

TEST_F(TerminatorTest, WhatCannotWorkIsRefusedAtTheStart) {
  const auto error_of = [this](auto change) {
    auto opts = options();
    change(opts);
    const auto made = Terminator::create(std::move(opts), clock_);
    return made ? Error{} : made.error();
  };
  EXPECT_EQ(error_of([](auto& o) { o.source = "csr"; }).code, Errc::kUnsupported);
  EXPECT_EQ(error_of([](auto& o) { o.source = "magic"; }).code, Errc::kInvalidArgument);
  EXPECT_EQ(error_of([](auto& o) { o.source = "files"; }).code, Errc::kInvalidArgument);
  EXPECT_TRUE(error_of([](auto& o) { o.ca_key_file = "/nonexistent"; }).code);
  EXPECT_TRUE(error_of([](auto& o) { o.upstream_ca_file = "/nonexistent"; }).code);
  EXPECT_TRUE(error_of([](auto& o) { o.listener_addresses = {"nowhere"}; }).code);
  EXPECT_THAT(error_of([](auto& o) { o.ca_cert_file.clear(); }).message, HasSubstr("tls.ca_cert"));
}

}  // namespace
}  // namespace holdfast::tls
