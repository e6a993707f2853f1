#include <gmock/gmock.h>

#include "tls/certificate.h"
#include "unit/tls/terminator_fixture.h"

namespace holdfast::tls {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

/// A client as a Kubernetes library would make it, not through the code under test.
struct ClientOptions {
  std::string ca_pem;
  std::string address;  ///< verified as an IP SAN
  std::string name;     ///< sent as SNI and verified
  std::string alpn{"\x02h2\x08http/1.1"};
  const test::Pair* certificate = nullptr;
  int max_version = TLS1_3_VERSION;
};

SslPtr make_client(const ClientOptions& options, SSL_CTX* context) {
  SSL_CTX_set_max_proto_version(context, options.max_version);
  for (const auto& root : *parse_pem_chain(options.ca_pem, "client CA")) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root.get());
  }
  SslPtr ssl{SSL_new(context)};
  SSL_set_verify(ssl.get(), SSL_VERIFY_PEER, nullptr);
  X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl.get()),
                             std::chrono::system_clock::to_time_t(test::kEpoch));
  if (!options.name.empty()) {
    SSL_set1_host(ssl.get(), options.name.c_str());
    SSL_set_tlsext_host_name(ssl.get(), options.name.c_str());
  }
  if (!options.address.empty()) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), options.address.c_str());
  }
  if (!options.alpn.empty()) {
    SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(options.alpn.data()),
                        static_cast<unsigned>(options.alpn.size()));
  }
  if (options.certificate != nullptr) {
    const auto chain = *parse_pem_chain(options.certificate->cert_pem, "client");
    const auto key = *parse_pem_key(options.certificate->key_pem, "client");
    SSL_use_certificate(ssl.get(), chain.front().get());
    SSL_use_PrivateKey(ssl.get(), key.get());
  }
  SSL_set_connect_state(ssl.get());
  return ssl;
}

/// Runs both ends over a BIO pair until they finish or one fails.
bool handshake(SSL* client, SSL* server) {
  BIO* client_end = nullptr;
  BIO* server_end = nullptr;
  BIO_new_bio_pair(&client_end, 0, &server_end, 0);
  SSL_set_bio(client, client_end, client_end);
  SSL_set_bio(server, server_end, server_end);
  bool client_done = false;
  bool server_done = false;
  for (int step = 0; step < 50 && !(client_done && server_done); ++step) {
    for (auto [ssl, done] : {std::pair{client, &client_done}, {server, &server_done}}) {
      if (*done) continue;
      const int result = SSL_do_handshake(ssl);
      if (result == 1) {
        *done = true;
      } else if (const int error = SSL_get_error(ssl, result);
                 error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        openssl_error(Errc::kProtocol, "");
        return false;
      }
    }
  }
  if (!client_done || !server_done) return false;
  // A TLS 1.3 client may be done before the server has judged its certificate; and a byte each way
  // shows that both agree.
  char byte = 'x';
  return SSL_write(client, &byte, 1) == 1 && SSL_read(server, &byte, 1) == 1 &&
         SSL_write(server, &byte, 1) == 1 && SSL_read(client, &byte, 1) == 1;
}

std::string alpn_of(const SSL* ssl) {
  const unsigned char* data = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl, &data, &size);
  return {reinterpret_cast<const char*>(data), size};
}

class HandshakeTest : public TerminatorFixture {
 protected:
  void SetUp() override {
    TerminatorFixture::SetUp();
    kubelet_ = test::issue({.name = "system:node:n1", .usage = "clientAuth"}, &ca_);
    directory_.write("kubelet.pem", kubelet_.cert_pem + kubelet_.key_pem);
    auto opts = options();
    opts.identity_files = {{directory_.file("kubelet.pem"), directory_.file("kubelet.pem")}};
    terminator_ = make(opts);
    ASSERT_TRUE(terminator_->learn_target(target_, {server_certificate(ca_).der}));
  }
  bool connect(const ClientOptions& options) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    client_ssl_ = make_client(options, context_.get());
    server_ssl_.reset(terminator_->new_server_ssl(target_));
    return server_ssl_ && handshake(client_ssl_.get(), server_ssl_.get());
  }

  test::Pair kubelet_;
  std::unique_ptr<Terminator> terminator_;
  ContextPtr context_;
  SslPtr client_ssl_, server_ssl_;
};

TEST_F(HandshakeTest, NamesAndAddressesOfTheServerAndTheListenerAreVerified) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const auto* address : {"198.18.0.1", "192.0.2.10", "169.254.77.1", "fd77::1"}) {
      EXPECT_TRUE(connect({.ca_pem = ca_.cert_pem, .address = address, .max_version = version}))
          << address;
      EXPECT_EQ(alpn_of(client_ssl_.get()), "h2");
    }
    EXPECT_TRUE(connect(
        {.ca_pem = ca_.cert_pem, .name = "kubernetes.default.svc", .max_version = version}));
  }
  EXPECT_FALSE(connect({.ca_pem = ca_.cert_pem, .address = "198.18.0.2"}));
  EXPECT_FALSE(connect({.ca_pem = ca_.cert_pem, .name = "elsewhere"}));
}

TEST_F(HandshakeTest, ProtocolsAreOursInOurOrder) {
  EXPECT_TRUE(connect({.ca_pem = ca_.cert_pem, .alpn = "\x08http/1.1\x02h2"}));
  EXPECT_EQ(alpn_of(server_ssl_.get()), "h2");
  EXPECT_TRUE(connect({.ca_pem = ca_.cert_pem, .alpn = "\x08http/1.1"}));
  EXPECT_EQ(alpn_of(server_ssl_.get()), "http/1.1");
  EXPECT_TRUE(connect({.ca_pem = ca_.cert_pem, .alpn = ""}));
  EXPECT_EQ(alpn_of(server_ssl_.get()), "");
  EXPECT_FALSE(connect({.ca_pem = ca_.cert_pem, .alpn = "\x03xyz"}));
}

TEST_F(HandshakeTest, OldProtocolVersionsAreRefused) {
  EXPECT_FALSE(connect({.ca_pem = ca_.cert_pem, .max_version = TLS1_1_VERSION}));
}

TEST_F(HandshakeTest, AClientOfAnotherCaFailsOnceAndIsSplicedThen) {
  EXPECT_EQ(decide(*terminator_).verdict, Verdict::kTerminate);
  EXPECT_FALSE(connect({.ca_pem = test::make_ca("private").cert_pem}));
  terminator_->handshake_failed(client_, Reason::kHandshakeFailed);
  const auto decision = decide(*terminator_);
  EXPECT_EQ(decision.verdict, Verdict::kSplice);
  EXPECT_EQ(decision.reason, Reason::kHandshakeFailed);
}

TEST_F(HandshakeTest, ClientCertificatesAreMatchedByTheirFingerprint) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    ASSERT_TRUE(
        connect({.ca_pem = ca_.cert_pem, .certificate = &kubelet_, .max_version = version}));
    const auto known = terminator_->peer_certificate(server_ssl_.get());
    ASSERT_TRUE(known && known->identity);
    EXPECT_EQ(known->identity->subject, "CN=system:node:n1");
    EXPECT_EQ(known->identity->fingerprint, known->fingerprint);

    // Whoever signed it: what it may do is for the API server to say.
    const auto stranger = test::issue({.name = "system:node:n1"});
    ASSERT_TRUE(
        connect({.ca_pem = ca_.cert_pem, .certificate = &stranger, .max_version = version}));
    const auto unknown = terminator_->peer_certificate(server_ssl_.get());
    ASSERT_TRUE(unknown);
    EXPECT_EQ(unknown->identity, nullptr);

    ASSERT_TRUE(connect({.ca_pem = ca_.cert_pem, .max_version = version}));
    EXPECT_FALSE(terminator_->peer_certificate(server_ssl_.get()));
  }
  EXPECT_EQ(terminator_->identities().size(), 1U);
}

TEST_F(HandshakeTest, SessionsAreNeverResumed) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const ClientOptions options{
        .ca_pem = ca_.cert_pem, .certificate = &kubelet_, .max_version = version};
    ASSERT_TRUE(connect(options));
    const std::unique_ptr<SSL_SESSION, OpensslDeleter<SSL_SESSION_free>> session{
        SSL_get1_session(client_ssl_.get())};
    EXPECT_EQ(SSL_SESSION_has_ticket(session.get()), 0);

    const ContextPtr context{SSL_CTX_new(TLS_client_method())};
    const auto client = make_client(options, context.get());
    SSL_set_session(client.get(), session.get());
    const SslPtr server{terminator_->new_server_ssl(target_)};
    ASSERT_TRUE(handshake(client.get(), server.get()));
    EXPECT_EQ(SSL_session_reused(server.get()), 0);
    EXPECT_TRUE(terminator_->peer_certificate(server.get()));
  }
}

}  // namespace
}  // namespace holdfast::tls
