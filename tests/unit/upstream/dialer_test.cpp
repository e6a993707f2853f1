#include "holdfast/upstream/dialer.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cerrno>

#include "tls_server.h"
#include "unit/tls/pki.h"
#include "upstream/servers.h"

namespace holdfast::upstream {
namespace {

using namespace std::chrono_literals;
using tls::test::issue;
using tls::test::Pair;

Pair make(std::string name, std::string names, bool ca, const Pair* issuer) {
  const auto now = std::chrono::system_clock::now();
  return issue({.name = std::move(name),
                .names = std::move(names),
                .ca = ca,
                .from = now - 1h,
                .to = now + 1h},
               issuer);
}

struct Pki {
  Pair ca = make("ca", "", true, nullptr);
  Pair other_ca = make("other ca", "", true, nullptr);
  Pair server = make("apiserver", "IP:127.0.0.1,DNS:localhost,DNS:kubernetes", false, &ca);
  Pair named_only = make("127.0.0.1", "DNS:kubernetes", false, &ca);
  Pair client = make("system:node:edge-1", "", false, &ca);
};
const Pki& pki() {
  static const Pki made;
  return made;
}

class DialerTest : public testing::Test {
 protected:
  struct Outcome {
    std::optional<Error> error;
    std::string alpn;
  };

  static Task<> dial_into(Dialer* dialer, Server server, Identity identity,
                          Dialer::Protocol protocol, Outcome* out) {
    auto dialed = co_await dialer->dial(std::move(server), std::move(identity), protocol);
    if (dialed) {
      out->alpn = dialed->alpn;
      dialed->transport->close();
    } else {
      out->error = dialed.error();
    }
  }
  Outcome dial(Server server, Identity identity = {},
               Dialer::Protocol protocol = Dialer::Protocol::kAny) {
    auto dialer = Dialer::create(io_.get_executor(), {.ca_pem = ca_, .timeout = timeout_});
    EXPECT_TRUE(dialer);
    Outcome outcome;
    boost::asio::co_spawn(
        io_.get_executor(),
        dial_into(dialer->get(), std::move(server), std::move(identity), protocol, &outcome),
        boost::asio::detached);
    io_.restart();
    io_.run();
    return outcome;
  }
  static Server at(std::uint16_t port) { return {.host = "127.0.0.1", .port = port}; }

  boost::asio::io_context io_;
  std::string ca_ = pki().ca.cert_pem;
  std::chrono::milliseconds timeout_{20'000};
};

TEST_F(DialerTest, VerifiesAnAddressAndSpeaksHttp2) {
  TlsServer server{pki().server.cert_pem, pki().server.key_pem};
  const auto outcome = dial(at(server.port()));
  EXPECT_FALSE(outcome.error) << outcome.error->to_string();
  EXPECT_EQ(outcome.alpn, "h2");
  EXPECT_TRUE(server.wait().handshake);
  EXPECT_EQ(server.wait().client, "");
  EXPECT_EQ(server.wait().sni, "");
}

TEST_F(DialerTest, OffersHttp1AloneForUpgrades) {
  TlsServer server{pki().server.cert_pem, pki().server.key_pem};
  EXPECT_EQ(dial(at(server.port()), {}, Dialer::Protocol::kHttp11).alpn, "http/1.1");
}

TEST_F(DialerTest, PresentsTheIdentityItIsGiven) {
  TlsServer server{pki().server.cert_pem, pki().server.key_pem};
  const auto identity =
      ClientIdentity::from_pem(pki().client.cert_pem, pki().client.key_pem).value();
  EXPECT_FALSE(dial(at(server.port()), identity).error);
  EXPECT_EQ(server.wait().client, "system:node:edge-1");
}

TEST_F(DialerTest, ResolvesNamesAndSendsThem) {
  TlsServer server{pki().server.cert_pem, pki().server.key_pem};
  EXPECT_FALSE(dial({.host = "localhost", .port = server.port()}).error);
  EXPECT_EQ(server.wait().sni, "localhost");
}

TEST_F(DialerTest, VerifiesTheNameThatIsAskedFor) {
  {
    TlsServer server{pki().named_only.cert_pem, pki().named_only.key_pem};
    auto to = at(server.port());
    to.tls_name = "kubernetes";
    EXPECT_FALSE(dial(to).error);
  }
  // The address stands in the subject only: not good enough.
  TlsServer server{pki().named_only.cert_pem, pki().named_only.key_pem};
  const auto outcome = dial(at(server.port()));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, make_error_code(Errc::kProtocol));
  EXPECT_NE(outcome.error->message.find("127.0.0.1:"), std::string::npos);
}

TEST_F(DialerTest, RefusesAnotherCasServer) {
  ca_ = pki().other_ca.cert_pem;
  TlsServer server{pki().server.cert_pem, pki().server.key_pem};
  const auto outcome = dial(at(server.port()));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, make_error_code(Errc::kProtocol));
  EXPECT_FALSE(server.wait().handshake && outcome.alpn == "h2");
}

TEST_F(DialerTest, TakesABundleOfCas) {
  ca_ = pki().other_ca.cert_pem + pki().ca.cert_pem;
  TlsServer server{pki().server.cert_pem, pki().server.key_pem};
  EXPECT_FALSE(dial(at(server.port())).error);
}

TEST_F(DialerTest, ARefusalIsARefusal) {
  const DeadPort port{true};
  const auto outcome = dial(at(port.port));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, make_error_code(Errc::kRefused));
}

TEST_F(DialerTest, ASilentServerTimesOut) {
  timeout_ = 50ms;
  const DeadPort port{false};
  const auto outcome = dial(at(port.port));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(classify(*outcome.error), ConnectFailure::kTimeout);
}

TEST_F(DialerTest, NeedsACa) {
  for (const char* ca : {"", "garbage"}) {
    const auto dialer = Dialer::create(io_.get_executor(), {.ca_pem = ca});
    ASSERT_FALSE(dialer);
    EXPECT_EQ(dialer.error().code, make_error_code(Errc::kInvalidArgument));
  }
}

TEST(ClientIdentity, ReadsPairsInOneTextOrTwo) {
  const auto& pair = pki().client;
  const auto two = ClientIdentity::from_pem(pair.cert_pem, pair.key_pem);
  const auto both = pair.cert_pem + pair.key_pem;  // as kubelet-client-current.pem
  const auto one = ClientIdentity::from_pem(both, both);
  ASSERT_TRUE(two && one);
  EXPECT_EQ((*two)->common_name(), "system:node:edge-1");
  EXPECT_EQ((*two)->fingerprint().size(), 64u);
  EXPECT_EQ((*two)->fingerprint(), (*one)->fingerprint());
  EXPECT_GT((*two)->not_after(), std::chrono::system_clock::now());
  EXPECT_LT((*two)->not_after(), std::chrono::system_clock::now() + 2h);
}

TEST(ClientIdentity, RefusesWhatIsNoPair) {
  const auto& pair = pki().client;
  const std::pair<std::string, std::string> wrong[] = {
      {"", pair.key_pem},
      {pair.cert_pem, ""},
      {pair.cert_pem, pki().server.key_pem},
      {pair.key_pem, pair.cert_pem},
  };
  for (const auto& [certificate, key] : wrong) {
    const auto identity = ClientIdentity::from_pem(certificate, key);
    ASSERT_FALSE(identity);
    EXPECT_EQ(identity.error().code, make_error_code(Errc::kInvalidArgument));
  }
  EXPECT_FALSE(ClientIdentity::load("/nonexistent/cert", "/nonexistent/key"));
}

}  // namespace
}  // namespace holdfast::upstream
