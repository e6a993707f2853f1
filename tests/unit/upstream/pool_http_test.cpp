// The pool over real HTTP/2 connections on loopback: that its bookkeeping and theirs fit together.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <list>

#include "holdfast/base/nursery.h"
#include "holdfast/http/tcp.h"
#include "holdfast/upstream/pool.h"
#include "unit/http/harness.h"

namespace holdfast::upstream {
namespace {

using namespace std::chrono_literals;

class PlainDialer final : public Dialer {
 public:
  explicit PlainDialer(Executor executor) : executor_{executor} {}
  Task<Result<Dialed>> dial(Server server, Identity, Protocol) override {
    const auto to = Endpoint::from_address(server.host, server.port).value();
    auto socket = co_await http::connect_tcp(executor_, to, 0, 10s);
    if (!socket) co_return socket.error();
    Dialed dialed;
    dialed.transport = *socket;
    dialed.alpn = "h2";
    co_return dialed;
  }
  std::shared_ptr<http::ClientConnection> connection(Dialed dialed,
                                                     http::ClientLimits limits) override {
    return http::ClientConnection::create(std::move(dialed.transport), "h2", limits);
  }

 private:
  Executor executor_;
};

class PoolHttpTest : public testing::Test {
 protected:
  PoolHttpTest() {
    subscription_ =
        link_->subscribe(io_.get_executor(), [this](LinkTransition) { changed_.notify_all(); });
  }

  void make(bool prober) {
    PoolOptions options{.servers = {{.host = "127.0.0.1", .port = listener_.port}}};
    options.prober = prober;
    pool_ = Pool::create(io_.get_executor(), std::move(options), link_,
                         std::make_unique<PlainDialer>(io_.get_executor()), system_clock());
  }

  void run(Task<> main) {
    bool done = false;
    boost::asio::co_spawn(io_.get_executor(), frame(std::move(main), &done), boost::asio::detached);
    io_.run_for(30s);
    EXPECT_TRUE(done) << "it hangs";
  }
  Task<> frame(Task<> main, bool* done) {
    acceptor_.spawn("accept", accept());
    nursery_.spawn("pool", pool_->run());
    co_await std::move(main);
    co_await pool_->shutdown();
    acceptor_.cancel();
    co_await acceptor_.join();
    for (const auto& server : servers_) server->close();
    nursery_.cancel();
    co_await nursery_.join();
    *done = true;
  }
  Task<> accept() {
    while (true) {
      auto socket = co_await listener_.accept(io_.get_executor());
      auto transport = http::TcpTransport::adopt(io_.get_executor(), std::move(socket));
      if (!transport) continue;
      http::ServerOptions options;
      options.handler = [](std::shared_ptr<http::Exchange> exchange) {
        return http::respond_text(std::move(exchange), "ok");
      };
      servers_.push_back(http::ServerConnection::create(*transport, "h2", std::move(options)));
      nursery_.spawn("server", servers_.back()->run());
    }
  }
  Task<bool> get() {
    auto head = http::request_head("GET", "/version");
    auto stream = co_await pool_->open({}, std::move(head), true, sticky_);
    if (!stream) co_return false;
    const auto response = co_await (*stream)->response();
    if (!response || response->status != 200) co_return false;
    const auto body = co_await http::read_all(stream->get());
    co_return body&&* body == "ok";
  }
  Task<> until(Link state) {
    while (link_->state() != state) co_await changed_.wait();
  }

  Task<> survive_goaway() {
    EXPECT_TRUE(co_await get());
    EXPECT_TRUE(co_await get());
    EXPECT_EQ(servers_.size(), 1u);
    co_await until(Link::kOnline);
    servers_.front()->drain();
    // GOAWAY arrives, sooner or later; no request fails meanwhile.
    for (int i = 0; i < 1000 && servers_.size() < 2; ++i) EXPECT_TRUE(co_await get());
    EXPECT_EQ(servers_.size(), 2u);
    EXPECT_EQ(link_->snapshot().transitions, 1u);
  }
  Task<> lose_the_server() {
    co_await until(Link::kOnline);  // by the probe
    acceptor_.cancel();
    co_await acceptor_.join();
    listener_.fd.reset();
    for (const auto& server : servers_) server->close();
    co_await until(Link::kOffline);
    EXPECT_EQ(link_->snapshot().cause, LinkCause::kAllRefused);
    EXPECT_FALSE(co_await get());
  }
  Task<> leave_streams_open() {
    auto head = http::request_head("GET", "/version");
    auto stream = co_await pool_->open({}, std::move(head), true, sticky_);
    EXPECT_TRUE(stream.has_value());
    kept_ = std::move(*stream);
  }

  boost::asio::io_context io_;
  http::Listener listener_;
  Nursery acceptor_{io_.get_executor()}, nursery_{io_.get_executor()};
  Event changed_{io_.get_executor()};
  std::shared_ptr<LinkMonitor> link_ = LinkMonitor::create({.servers = 1}, system_clock());
  std::shared_ptr<void> subscription_;
  std::unique_ptr<Pool> pool_;
  std::list<std::shared_ptr<http::ServerConnection>> servers_;
  StickyServer sticky_;
  std::unique_ptr<http::ClientStream> kept_;
};

TEST_F(PoolHttpTest, SurvivesGoaway) {
  make(false);
  run(survive_goaway());
}

TEST_F(PoolHttpTest, NoticesThatTheServerIsGone) {
  make(true);
  run(lose_the_server());
}

TEST_F(PoolHttpTest, ShutsDownUnderOpenStreams) {
  make(true);
  run(leave_streams_open());
  pool_.reset();
  kept_.reset();
}

}  // namespace
}  // namespace holdfast::upstream
