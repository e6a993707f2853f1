#include "unit/http/harness.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;

int choose_alpn(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in,
                unsigned in_size, void*) {
  static constexpr unsigned char kOffer[] = "\x02h2\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, size, kOffer, sizeof kOffer - 1, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

SslContext make_server_context() {
  SslContext context{SSL_CTX_new(TLS_server_method())};
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_sign(certificate, key, EVP_sha256());
  SSL_CTX_use_certificate(context.get(), certificate);
  SSL_CTX_use_PrivateKey(context.get(), key);
  X509_free(certificate);
  EVP_PKEY_free(key);
  SSL_CTX_set_alpn_select_cb(context.get(), choose_alpn, nullptr);
  return context;
}

SslContext make_client_context() {
  return SslContext{SSL_CTX_new(TLS_client_method())};
}

SSL* make_ssl(SSL_CTX* context, bool server, const std::string& alpn) {
  SSL* ssl = SSL_new(context);
  if (server) {
    SSL_set_accept_state(ssl);
  } else {
    SSL_set_connect_state(ssl);
    const std::string offer = std::string(1, static_cast<char>(alpn.size())) + alpn;
    SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(offer.data()),
                        static_cast<unsigned>(offer.size()));
  }
  return ssl;
}

Listener::Listener() {
  fd = Fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::listen(fd.get(), 128), 0);
  EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  port = ntohs(address.sin_port);
}

Task<Fd> Listener::accept(Executor executor) {
  using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, Executor>;
  Socket waiter{executor};
  boost::system::error_code ec;
  waiter.assign(boost::asio::ip::tcp::v4(), ::dup(fd.get()), ec);
  Fd accepted;
  while (!accepted) {
    accepted = Fd{::accept4(fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (!accepted) co_await waiter.async_wait(Socket::wait_read, use_task);
  }
  co_return accepted;
}

Pair make_pair(Executor executor) {
  Listener listener;
  Fd client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(listener.port);
  EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  Fd server{::accept4(listener.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
  return {TcpTransport::adopt(executor, std::move(client)).value(),
          TcpTransport::adopt(executor, std::move(server)).value()};
}

namespace {

template <class Source>
Task<Result<std::string>> read_to_end(Source source) {
  std::string all;
  for (;;) {
    auto bytes = co_await source->read();
    if (!bytes) co_return bytes.error();
    if (bytes->empty()) co_return all;
    all += bytes->view();
  }
}

}  // namespace

Task<Result<std::string>> read_all(std::shared_ptr<Exchange> exchange) {
  return read_to_end(std::move(exchange));
}
Task<Result<std::string>> read_all(ClientStream* stream) {
  return read_to_end(stream);
}
Task<Result<std::string>> read_all(std::shared_ptr<Transport> transport) {
  return read_to_end(std::move(transport));
}

RequestHead request_head(std::string method, std::string target) {
  RequestHead head;
  head.method = std::move(method);
  head.target = std::move(target);
  head.authority = "localhost";
  return head;
}

Task<Result<Reply>> get(std::shared_ptr<ClientConnection> client, std::string target,
                        std::string method, std::string body) {
  auto stream =
      co_await client->open(request_head(std::move(method), std::move(target)), body.empty());
  if (!stream) co_return stream.error();
  if (!body.empty()) {
    const auto sent = co_await (*stream)->write(Slice::own(std::move(body)), true);
    if (!sent) co_return sent.error();
  }
  Reply reply;
  auto head = co_await (*stream)->response();
  if (!head) co_return head.error();
  reply.head = std::move(*head);
  auto text = co_await read_all(stream->get());
  if (!text) co_return text.error();
  reply.body = std::move(*text);
  co_return reply;
}

Task<> respond_text(std::shared_ptr<Exchange> exchange, std::string body) {
  ResponseHead head;
  head.headers = {{"content-type", "text/plain"}};
  (void)co_await exchange->respond(std::move(head), false);
  (void)co_await exchange->write(Slice::own(std::move(body)), true);
}

IoTest::~IoTest() {
  if (!finished_) std::abort();  // a hang: coroutines are left, nothing below is safe
}

void IoTest::run(Task<> main) {
  boost::asio::co_spawn(io_.get_executor(), finish(std::move(main)), boost::asio::detached);
  io_.run_for(60s);
  ASSERT_TRUE(finished_) << "the test hangs";
}

Task<> IoTest::finish(Task<> main) {
  try {
    co_await std::move(main);
  } catch (const std::exception& e) {
    ADD_FAILURE() << e.what();
  }
  for (const auto& client : clients_) client->close();
  for (const auto& server : servers_) server->close();
  co_await nursery_.join();
  finished_ = true;
}

Task<> IoTest::shake(std::shared_ptr<tls::Stream> stream, bool* done) {
  const auto result = co_await stream->handshake();
  EXPECT_TRUE(result) << result.error().to_string();
  *done = true;
}

std::shared_ptr<ServerConnection> IoTest::serve(std::shared_ptr<Transport> transport,
                                                std::string alpn, ServerOptions options) {
  auto server = ServerConnection::create(std::move(transport), std::move(alpn), std::move(options));
  servers_.push_back(server);
  nursery_.spawn("server", server->run());
  return server;
}

std::shared_ptr<ClientConnection> IoTest::connect(std::shared_ptr<Transport> transport,
                                                  std::string alpn, ClientLimits limits) {
  auto client = ClientConnection::create(std::move(transport), std::move(alpn), limits);
  clients_.push_back(client);
  nursery_.spawn("client", client->run());
  return client;
}

Task<IoTest::Both> IoTest::link(std::string alpn, bool tls, ServerOptions options,
                                ClientLimits limits) {
  auto pair = make_pair(executor());
  Both both;
  if (tls) {
    auto client = tls::Stream::create(pair.client, make_ssl(client_context_.get(), false, alpn));
    auto server = tls::Stream::create(pair.server, make_ssl(server_context_.get(), true, alpn));
    bool client_done = false;
    bool server_done = false;
    Nursery handshakes{executor()};
    handshakes.spawn("server", shake(server, &server_done));
    handshakes.spawn("client", shake(client, &client_done));
    co_await handshakes.join();
    EXPECT_EQ(client->alpn(), alpn);
    EXPECT_EQ(server->alpn(), alpn);
    both.server = serve(server, server->alpn(), std::move(options));
    both.client = connect(client, client->alpn(), limits);
  } else {
    both.server = serve(pair.server, "", std::move(options));
    both.client = connect(pair.client, alpn, limits);
  }
  co_return both;
}

}  // namespace holdfast::http
