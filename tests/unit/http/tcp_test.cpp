#include <sys/socket.h>

#include "unit/http/harness.h"

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;

class TcpTest : public testing::Test {
 protected:
  IoTest io_;
};

TEST_F(TcpTest, ConnectsWithAMarkAndKnowsBothEnds) {
  auto main = [&]() -> Task<> {
    Listener listener;
    const auto to = Endpoint::v4(INADDR_LOOPBACK, listener.port);
    const auto client = co_await connect_tcp(io_.executor(), to, 0, 5s);
    EXPECT_TRUE(client) << client.error().to_string();
    auto server = TcpTransport::adopt(io_.executor(), co_await listener.accept(io_.executor()));
    EXPECT_TRUE(server);
    EXPECT_EQ((*client)->peer(), to);
    EXPECT_EQ((*client)->local(), (*server)->peer());
    listener.fd.reset();
    const auto refused = co_await connect_tcp(io_.executor(), to, 0, 5s);
    EXPECT_FALSE(refused);
    EXPECT_EQ(refused.error().code, boost::system::errc::connection_refused);
  };
  io_.run(main());
}

TEST_F(TcpTest, PeekLeavesTheBytes) {
  auto main = [&]() -> Task<> {
    auto pair = make_pair(io_.executor());
    const auto none = co_await pair.server->peek(1, 10ms);
    EXPECT_FALSE(none);
    EXPECT_EQ(none.error().code, make_error_code(Errc::kTimeout));
    (void)co_await pair.client->write(Slice::own("abc"));
    const auto three = co_await pair.server->peek(3, 5s);
    EXPECT_TRUE(three);
    EXPECT_EQ(three->view(), "abc");
    const auto late = co_await pair.server->peek(4, 10ms);
    EXPECT_FALSE(late);
    (void)co_await pair.client->write(Slice::own("def"));
    const auto six = co_await pair.server->peek(6, 5s);
    EXPECT_EQ(six->view(), "abcdef");
    (void)co_await pair.client->shutdown();
    const auto ended = co_await pair.server->peek(100, 5s);
    EXPECT_EQ(ended->view(), "abcdef");
    const auto all = co_await read_all(std::shared_ptr<Transport>{pair.server});
    EXPECT_EQ(all.value(), "abcdef");
  };
  io_.run(main());
}

TEST_F(TcpTest, CloseEndsAPendingRead) {
  auto main = [&]() -> Task<> {
    auto pair = make_pair(io_.executor());
    bool ended = false;
    auto reader = [](std::shared_ptr<Transport> transport, bool* flag) -> Task<> {
      const auto bytes = co_await transport->read();
      EXPECT_FALSE(bytes);
      *flag = true;
    };
    Nursery nursery{io_.executor()};
    nursery.spawn("reader", reader(pair.server, &ended));
    EXPECT_FALSE(ended);
    pair.server->close();
    co_await nursery.join();
    EXPECT_TRUE(ended);
    const auto after = co_await pair.server->write(Slice::own("x"));
    EXPECT_FALSE(after);
  };
  io_.run(main());
}

TEST_F(TcpTest, ACancelledTunnelClosesBothEnds) {
  auto main = [&]() -> Task<> {
    auto a = make_pair(io_.executor());
    auto b = make_pair(io_.executor());
    auto relay = [](std::shared_ptr<Transport> x, std::shared_ptr<Transport> y) -> Task<> {
      (void)co_await tunnel(x, y);
    };
    Nursery nursery{io_.executor()};
    nursery.spawn("tunnel", relay(a.server, b.client));
    (void)co_await a.client->write(Slice::own("ping"));
    const auto through = co_await b.server->read();
    EXPECT_EQ(through->view(), "ping");
    nursery.cancel();
    co_await nursery.join();
    const auto left = co_await a.client->read();
    EXPECT_TRUE(!left || left->empty());
    const auto right = co_await b.server->read();
    EXPECT_TRUE(!right || right->empty());
  };
  io_.run(main());
}

TEST_F(TcpTest, HangingUpIsNoResetEvenWithInputUnread) {
  auto main = [&]() -> Task<> {
    auto pair = make_pair(io_.executor());
    (void)co_await pair.client->write(Slice::own("a hello that nobody reads"));
    Nursery nursery{io_.executor()};
    nursery.spawn("hang up", hang_up(pair.server));
    const auto end = co_await pair.client->read();
    EXPECT_TRUE(end) << end.error().to_string();
    EXPECT_TRUE(end->empty());
    pair.client->close();
    co_await nursery.join();
  };
  io_.run(main());
}

TEST_F(TcpTest, KnowsHowFarAnUploadIs) {
  auto main = [&]() -> Task<> {
    auto pair = make_pair(io_.executor());
    EXPECT_EQ(pair.client->upload().acknowledged, 0u);
    (void)co_await pair.client->write(Slice::own(std::string(1000, 'x')));
    Event pause{io_.executor()};
    for (int i = 0; i < 1000 && pair.client->upload().acknowledged < 1000; ++i) {
      (void)co_await pause.wait_for(1ms);
    }
    EXPECT_EQ(pair.client->upload().acknowledged, 1000u);
    EXPECT_EQ(pair.client->upload().waiting, 0u);
    // More than the kernels take while nobody reads.
    Nursery nursery{io_.executor()};
    auto writer = [](std::shared_ptr<Transport> transport) -> Task<> {
      (void)co_await transport->write(Slice::own(std::string(64 << 20, 'x')));
    };
    nursery.spawn("writer", writer(pair.client));
    (void)co_await pause.wait_for(20ms);
    EXPECT_GT(pair.client->upload().waiting, 0u);
    pair.server->close();
    co_await nursery.join();
  };
  io_.run(main());
}

TEST_F(TcpTest, AResetIsNotAnEnd) {
  auto main = [&]() -> Task<> {
    Listener listener;
    const auto client =
        co_await connect_tcp(io_.executor(), Endpoint::v4(INADDR_LOOPBACK, listener.port), 0, 5s);
    {
      Fd server = co_await listener.accept(io_.executor());
      const linger now{.l_onoff = 1, .l_linger = 0};
      ::setsockopt(server.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    const auto bytes = co_await (*client)->read();
    EXPECT_FALSE(bytes);
    EXPECT_EQ(bytes.error().code, make_error_code(Errc::kReset));
  };
  io_.run(main());
}

class TlsStreamTest : public testing::Test {
 protected:
  Task<> shake(std::shared_ptr<tls::Stream> stream, Result<void>* result) {
    *result = co_await stream->handshake();
    if (!*result) stream->close();
  }
  IoTest io_;
};

TEST_F(TlsStreamTest, AFinWithoutCloseNotifyIsNoEnd) {
  auto main = [&]() -> Task<> {
    auto pair = make_pair(io_.executor());
    const auto server_context = make_server_context();
    const auto client_context = make_client_context();
    auto client = tls::Stream::create(pair.client, make_ssl(client_context.get(), false, "h2"));
    auto server = tls::Stream::create(pair.server, make_ssl(server_context.get(), true, ""));
    Result<void> a;
    Result<void> b;
    Nursery nursery{io_.executor()};
    nursery.spawn("client", shake(client, &a));
    nursery.spawn("server", shake(server, &b));
    co_await nursery.join();
    EXPECT_TRUE(a && b);
    // One direction ends in order: the other goes on.
    (void)co_await client->write(Slice::own("question"));
    (void)co_await client->shutdown();
    const auto question = co_await read_all(std::shared_ptr<Transport>{server});
    EXPECT_EQ(question.value(), "question");
    (void)co_await server->write(Slice::own("answer"));
    (void)co_await pair.server->shutdown();  // below TLS
    const auto answer = co_await client->read();
    EXPECT_EQ(answer->view(), "answer");
    const auto end = co_await client->read();
    EXPECT_FALSE(end);
    EXPECT_EQ(end.error().code, make_error_code(Errc::kReset));
  };
  io_.run(main());
}

/// Counts what is written.
class CountingTransport final : public Transport {
 public:
  explicit CountingTransport(std::shared_ptr<Transport> next) : next_{std::move(next)} {}
  Task<Result<Slice>> read() override { return next_->read(); }
  Task<Result<void>> write(Slice bytes) override {
    ++writes;
    return next_->write(std::move(bytes));
  }
  Task<Result<void>> shutdown() override { return next_->shutdown(); }
  void close() override { next_->close(); }
  Executor executor() override { return next_->executor(); }
  int writes = 0;

 private:
  std::shared_ptr<Transport> next_;
};

TEST_F(TlsStreamTest, AllRecordsOfAWriteGoOutAtOnce) {
  auto main = [&]() -> Task<> {
    auto pair = make_pair(io_.executor());
    const auto server_context = make_server_context();
    const auto client_context = make_client_context();
    // As a context may have it for other users.
    SSL_CTX_set_mode(client_context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE);
    const auto counting = std::make_shared<CountingTransport>(pair.client);
    auto client = tls::Stream::create(counting, make_ssl(client_context.get(), false, "h2"));
    auto server = tls::Stream::create(pair.server, make_ssl(server_context.get(), true, ""));
    Result<void> a;
    Result<void> b;
    Nursery nursery{io_.executor()};
    nursery.spawn("client", shake(client, &a));
    nursery.spawn("server", shake(server, &b));
    co_await nursery.join();
    EXPECT_TRUE(a && b);
    counting->writes = 0;
    (void)co_await client->write(Slice::own(std::string(64 * 1024, 'x')));
    EXPECT_EQ(counting->writes, 1);
    client->close();
  };
  io_.run(main());
}

TEST_F(TlsStreamTest, SaysWhyAHandshakeFailed) {
  auto main = [&]() -> Task<> {
    const auto server_context = make_server_context();
    const auto client_context = make_client_context();
    {
      auto pair = make_pair(io_.executor());
      SSL_CTX_set_verify(client_context.get(), SSL_VERIFY_PEER, nullptr);
      auto client = tls::Stream::create(pair.client, make_ssl(client_context.get(), false, "h2"));
      auto server = tls::Stream::create(pair.server, make_ssl(server_context.get(), true, ""));
      Result<void> a;
      Result<void> b;
      Nursery nursery{io_.executor()};
      nursery.spawn("client", shake(client, &a));
      nursery.spawn("server", shake(server, &b));
      co_await nursery.join();
      EXPECT_FALSE(a);
      EXPECT_NE(a.error().message.find("certificate verify failed"), std::string::npos);
      EXPECT_FALSE(b);
      EXPECT_EQ(b.error().code, make_error_code(Errc::kProtocol));
      EXPECT_NE(b.error().message.find("unknown ca"), std::string::npos) << b.error().message;
    }
    {
      auto pair = make_pair(io_.executor());
      auto server = tls::Stream::create(pair.server, make_ssl(server_context.get(), true, ""));
      (void)co_await pair.client->write(Slice::own(std::string{"\x16\x03\x01\x02", 4}));
      (void)co_await pair.client->shutdown();
      const auto half = co_await server->handshake();
      EXPECT_FALSE(half);
      EXPECT_EQ(half.error().code, make_error_code(Errc::kClosed));
    }
  };
  io_.run(main());
}

}  // namespace
}  // namespace holdfast::http
