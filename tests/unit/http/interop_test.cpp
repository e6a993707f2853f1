// Other people's HTTP stacks against ours: curl, nghttp and h2load as clients, nghttpd as a server.
#include <fcntl.h>
#include <openssl/pem.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <boost/asio/post.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "unit/http/harness.h"

extern char** environ;

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

bool installed(const std::string& program) {
  for (const char* folder : {"/usr/bin/", "/usr/sbin/", "/bin/"}) {
    if (fs::exists(folder + program)) return true;
  }
  return false;
}

class InteropTest : public testing::Test {
 protected:
  InteropTest() {
    std::string name = (fs::temp_directory_path() / "holdfast-http-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    std::ofstream{folder_ / "big"} << std::string(5 << 20, 'b');
  }
  ~InteropTest() override { fs::remove_all(folder_); }

  /// Output of a shell command, which runs while this io_context goes on.
  Task<std::string> shell(std::string command) {
    std::string output;
    bool done = false;
    std::thread thread{[&, executor = io_.executor()] {
      FILE* pipe = ::popen(("cd " + folder_.string() + " && " + command + " 2>&1").c_str(), "r");
      char buffer[4096];
      while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, pipe)) {
        output.append(buffer, got);
      }
      ::pclose(pipe);
      boost::asio::post(executor, [&] {
        done = true;
        event_.notify_all();
      });
    }};
    while (!done) co_await event_.wait();
    thread.join();
    co_return output;
  }

  static Task<> echo(std::shared_ptr<Exchange> exchange) {
    if (exchange->request().method == "GET") {
      co_await respond_text(exchange, std::string(1024, 'g'));
      co_return;
    }
    (void)co_await exchange->respond({}, false);
    for (;;) {
      auto bytes = co_await exchange->read();
      if (!bytes) co_return;
      const bool end = bytes->empty();
      const auto sent = co_await exchange->write(std::move(*bytes), end);
      if (end || !sent) co_return;
    }
  }

  Task<> accept(Listener* listener) {
    for (;;) {
      auto socket = co_await listener->accept(io_.executor());
      auto tcp = TcpTransport::adopt(io_.executor(), std::move(socket));
      if (!tcp) continue;
      io_.nursery().spawn("tls", begin(*tcp));
    }
  }
  Task<> begin(std::shared_ptr<TcpTransport> tcp) {
    auto stream = tls::Stream::create(tcp, make_ssl(context_.get(), true, ""));
    const auto shaken = co_await stream->handshake();
    if (!shaken) co_return;
    ServerOptions options;
    options.handler = echo;
    (void)io_.serve(stream, stream->alpn(), std::move(options));
  }

  IoTest io_;
  Event event_{io_.executor()};
  SslContext context_ = make_server_context();
  fs::path folder_;
};

TEST_F(InteropTest, CurlAndNghttpLikeOurServer) {
  for (const char* program : {"curl", "nghttp", "h2load"}) {
    if (!installed(program)) GTEST_SKIP() << program << " is not installed";
  }
  auto main = [&]() -> Task<> {
    Listener listener;
    Nursery acceptor{io_.executor()};
    acceptor.spawn("accept", accept(&listener));
    const std::string url = "https://127.0.0.1:" + std::to_string(listener.port) + "/x";
    for (const std::string version : {"--http1.1", "--http2"}) {
      const auto plain = co_await shell("curl -sk " + version + " " + url +
                                        " -o /dev/null -w '%{http_code} %{size_download}'");
      EXPECT_EQ(plain, "200 1024") << version;
      const auto upload = co_await shell("curl -sk " + version + " -X POST -T big " + url +
                                         " -o out && cmp big out && echo same");
      EXPECT_EQ(upload, "same\n") << version;
      const auto chunked = co_await shell("cat big | curl -sk " + version + " -X POST -T - " + url +
                                          " -o out && cmp big out && echo same");
      EXPECT_EQ(chunked, "same\n") << version;
      const auto head =
          co_await shell("curl -sk -I " + version + " " + url + " -o /dev/null -w '%{http_code}'");
      EXPECT_EQ(head, "200") << version;
      const auto twice = co_await shell("curl -sk " + version + " " + url + " " + url +
                                        " -o /dev/null -o /dev/null -w '%{num_connects} '");
      EXPECT_EQ(twice, "1 0 ") << version;
    }
    const auto nghttp = co_await shell("nghttp -n -s " + url + " -d big");
    EXPECT_NE(nghttp.find(" 200 "), std::string::npos) << nghttp;
    const auto load = co_await shell("h2load -n 4000 -c 8 -m 50 " + url);
    EXPECT_NE(load.find("4000 succeeded, 0 failed"), std::string::npos) << load;
    const auto load1 = co_await shell("h2load --h1 -n 400 -c 4 " + url);
    EXPECT_NE(load1.find("400 succeeded, 0 failed"), std::string::npos) << load1;
    acceptor.cancel();
    co_await acceptor.join();
  };
  io_.run(main());
}

TEST_F(InteropTest, OurClientLikesNghttpd) {
  if (!installed("nghttpd")) GTEST_SKIP() << "nghttpd is not installed";
  FILE* file = std::fopen((folder_ / "key.pem").c_str(), "w");
  PEM_write_PrivateKey(file, SSL_CTX_get0_privatekey(context_.get()), nullptr, nullptr, 0, nullptr,
                       nullptr);
  std::fclose(file);
  file = std::fopen((folder_ / "cert.pem").c_str(), "w");
  PEM_write_X509(file, SSL_CTX_get0_certificate(context_.get()));
  std::fclose(file);
  std::uint16_t port = 0;
  {
    const Listener probe;
    port = probe.port;
  }
  std::vector<std::string> words = {"nghttpd",
                                    "--address=127.0.0.1",
                                    "-d",
                                    folder_.string(),
                                    std::to_string(port),
                                    (folder_ / "key.pem").string(),
                                    (folder_ / "cert.pem").string()};
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = 0;
  ASSERT_EQ(::posix_spawnp(&pid, "nghttpd", nullptr, nullptr, arguments.data(), environ), 0);
  auto main = [&]() -> Task<> {
    const auto client_context = make_client_context();
    std::shared_ptr<TcpTransport> tcp;
    const auto limit = SteadyClock::now() + 20s;
    while (!tcp && SteadyClock::now() < limit) {
      auto connected =
          co_await connect_tcp(io_.executor(), Endpoint::v4(INADDR_LOOPBACK, port), 0, 1s);
      if (connected) {
        tcp = *connected;
      } else {
        (void)co_await event_.wait_for(20ms);
      }
    }
    EXPECT_TRUE(tcp);
    if (!tcp) co_return;
    auto stream = tls::Stream::create(tcp, make_ssl(client_context.get(), false, "h2"));
    EXPECT_TRUE(co_await stream->handshake());
    EXPECT_EQ(stream->alpn(), "h2");
    auto client = io_.connect(stream, "h2");
    for (int i = 0; i < 20; ++i) {
      const auto reply = co_await get(client, "/big");
      EXPECT_TRUE(reply);
      EXPECT_EQ(reply->head.status, 200u);
      EXPECT_EQ(reply->body.size(), 5u << 20);
    }
    const auto missing = co_await get(client, "/missing");
    EXPECT_EQ(missing->head.status, 404u);
    EXPECT_TRUE(co_await client->ping(5s));
    // A server that dies is a reset for what runs, and no reason to hang.
    auto last = co_await client->open(request_head("GET", "/big"), true);
    EXPECT_TRUE(co_await (*last)->response());
    ::kill(pid, SIGKILL);
    const auto cut = co_await read_all(last->get());
    EXPECT_FALSE(cut);
    EXPECT_FALSE(client->usable());
  };
  io_.run(main());
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

}  // namespace
}  // namespace holdfast::http
