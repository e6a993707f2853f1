#include "holdfast/admin/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "holdfast/admin/client.h"
#include "holdfast/admin/trace_query.h"
#include "holdfast/base/fd.h"
#include "unit/admin/fixtures.h"

namespace holdfast::admin {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

class ServerTest : public testing::Test {
 protected:
  ServerTest() : directory_{testing::TempDir() + "hf-admin-" + std::to_string(getpid())} {
    std::filesystem::remove_all(directory_);
  }
  ~ServerTest() override {
    stop();
    std::filesystem::remove_all(directory_);
  }

  ServerOptions options() {
    ServerOptions o{.listen = Endpoint::from_address("127.0.0.1", 1).value(),
                    .socket = directory_ + "/run/admin.sock"};
    o.listen.port = 0;
    o.timeout = 1000ms;
    return o;
  }
  void start() { start(options()); }
  void start(ServerOptions o) {
    auto made = Server::create(io_.get_executor(), o, source_);
    ASSERT_TRUE(made) << made.error().to_string();
    server_ = std::move(*made);
    socket_ = o.socket;
    boost::asio::co_spawn(io_.get_executor(), server_->run(), boost::asio::detached);
    thread_ = std::thread{[this] { io_.run(); }};
  }
  void stop() {
    if (!thread_.joinable()) return;
    boost::asio::post(io_, [this] { server_->stop(); });
    thread_.join();
    server_.reset();
  }

  Fd connect() {
    const auto at = server_->listening();
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(at.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    Fd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    timeval limit{.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
  }
  static void send(const Fd& fd, std::string_view text) {
    (void)::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }
  static std::string read_all(const Fd& fd) {
    std::string text;
    char block[4096];
    for (ssize_t n; (n = ::recv(fd.get(), block, sizeof block, 0)) > 0;) {
      text.append(block, static_cast<std::size_t>(n));
    }
    return text;
  }
  std::string exchange(std::string_view request) {
    const auto fd = connect();
    send(fd, request);
    return read_all(fd);
  }

  FakeSource source_;
  boost::asio::io_context io_;
  std::unique_ptr<Server> server_;
  std::string directory_, socket_;
  std::thread thread_;
};

TEST_F(ServerTest, AnswersOverTcp) {
  start();
  const auto text =
      exchange("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(text, HasSubstr("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(text, HasSubstr("Content-Length: 19\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\n\r\nholdfast_link_up 1\n"));
}

TEST_F(ServerTest, KeepsConnectionsAndAnswersHead) {
  start();
  const auto text = exchange(
      "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nHEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
      "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(text, Not(HasSubstr("<html")));
  EXPECT_EQ(std::count(text.begin(), text.end(), 'H') > 2, true);
  EXPECT_THAT(text, HasSubstr("ok\n"));
}

TEST_F(ServerTest, RefusesAStrangersName) {
  start();
  EXPECT_THAT(exchange("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"), HasSubstr(" 403 "));
}

TEST_F(ServerTest, GarbageEndsTheConnection) {
  start();
  EXPECT_THAT(exchange("\x16\x03\x01 garbage\r\n\r\n"), Not(HasSubstr("200")));
  EXPECT_THAT(exchange("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"),
              Not(HasSubstr(" 200 ")));
  EXPECT_THAT(exchange("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"),
              Not(HasSubstr(" 200 ")));
  EXPECT_EQ(get(socket_, "/healthz")->code, 200);
}

TEST_F(ServerTest, ASlowHeadIsCutOff) {
  auto o = options();
  o.timeout = 100ms;
  start(o);
  const auto fd = connect();
  send(fd, "GET / HTT");
  EXPECT_EQ(read_all(fd), "");
}

TEST_F(ServerTest, ConnectionsAreBounded) {
  auto o = options();
  o.max_connections = 2;
  start(o);
  const auto a = connect(), b = connect();
  // Both are accepted once both have been answered.
  for (const auto* fd : {&a, &b}) {
    send(*fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    char byte;
    ASSERT_EQ(::recv(fd->get(), &byte, 1, 0), 1);
  }
  EXPECT_EQ(read_all(connect()), "");
  EXPECT_EQ(get(socket_, "/healthz")->code, 200);
}

TEST_F(ServerTest, TheSocketIsPrivateAndGoesAway) {
  start();
  struct stat found {};
  ASSERT_EQ(::stat(socket_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat((directory_ + "/run").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0700u);
  stop();
  EXPECT_NE(::stat(socket_.c_str(), &found), 0);
}

TEST_F(ServerTest, StatusOverTheSocket) {
  start();
  const auto reply = get(socket_, "/v1/status");
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(reply->code, 200);
  EXPECT_EQ(parse_status(reply->body)->node, "edge-1");
  EXPECT_EQ(get(socket_, "/nothing")->code, 404);
}

TEST_F(ServerTest, ASecondAgentIsToldSo) {
  start();
  boost::asio::io_context other;
  EXPECT_EQ(Server::create(other.get_executor(), options(), source_).error().code,
            make_error_code(Errc::kExists));
  EXPECT_EQ(get(socket_, "/healthz")->code, 200);
}

TEST_F(ServerTest, AStaleSocketIsReplacedAndAFileIsNot) {
  std::filesystem::create_directories(directory_ + "/run");
  const auto path = directory_ + "/run/admin.sock";
  std::ofstream{path} << "precious";
  EXPECT_EQ(Server::create(io_.get_executor(), options(), source_).error().code,
            make_error_code(Errc::kExists));
  std::filesystem::remove(path);
  {
    const Fd fd{::socket(AF_UNIX, SOCK_STREAM, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  start();
  EXPECT_EQ(get(socket_, "/healthz")->code, 200);
}

TEST_F(ServerTest, NobodyListens) {
  EXPECT_EQ(get(directory_ + "/none.sock", "/").error().code, make_error_code(Errc::kUnavailable));
}

TEST_F(ServerTest, TracesFollowWithTheirFilter) {
  start();
  const auto wait_for_subscriber = [&] {
    while (!source_.broadcast.wanted()) std::this_thread::yield();
  };
  std::vector<std::string> lines;
  std::thread publisher{[&] {
    wait_for_subscriber();
    telemetry::RequestEvent other;
    other.pod = telemetry::PodRef{"a", "other", ""};
    telemetry::RequestEvent wanted;
    wanted.pod = telemetry::PodRef{"a", "b c", ""};
    for (int i = 0; i < 3; ++i) {
      wanted.code = i;
      source_.broadcast.publish(other);
      source_.broadcast.publish(wanted);
    }
  }};
  const auto followed = follow(socket_, to_target({.pod = "b c"}), [&](std::string_view line) {
    lines.emplace_back(line);
    return lines.size() < 3;
  });
  publisher.join();
  ASSERT_TRUE(followed) << followed.error().to_string();
  for (int i = 0; i < 3; ++i) {
    const auto event = telemetry::parse_trace_event(lines[static_cast<std::size_t>(i)]);
    EXPECT_EQ(std::get<telemetry::RequestEvent>(*event).code, i);
  }
}

TEST_F(ServerTest, StoppingEndsATrace) {
  start();
  auto followed = std::async(std::launch::async, [&] {
    return follow(socket_, "/v1/trace", [](std::string_view) { return true; }).has_value();
  });
  while (!source_.broadcast.wanted()) std::this_thread::yield();
  stop();
  EXPECT_TRUE(followed.get());
}

TEST_F(ServerTest, ABadTraceIsRefused) {
  start();
  const auto followed = follow(socket_, "/v1/trace?kind=x", [](std::string_view) { return true; });
  EXPECT_EQ(followed.error().code, make_error_code(Errc::kRefused));
  EXPECT_THAT(followed.error().message, HasSubstr("expected flow or request"));
}

TEST_F(ServerTest, AReaderThatStopsReadingIsCutOff) {
  auto o = options();
  o.timeout = 200ms;
  start(o);
  source_.metrics_text = std::string(64u << 20, 'x');
  const auto fd = connect();
  send(fd, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  // The server must end by itself within the test's limit; nothing is read meanwhile.
  char byte;
  ASSERT_EQ(::recv(fd.get(), &byte, 1, MSG_WAITALL), 1);
  EXPECT_EQ(get(socket_, "/healthz")->code, 200);
  stop();
}

}  // namespace
}  // namespace holdfast::admin
