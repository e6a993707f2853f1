// http_serve KIB [PORT]: serves bodies of that size from memory over TLS on a port of the kernel's
// choice, which it prints; for h2load, beside nghttpd with a file of the same size. With PORT it
// forwards to a TLS server on 127.0.0.1:PORT instead: what a hop costs.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstdio>
#include <cstdlib>

#include "unit/http/harness.h"

namespace holdfast::http {
namespace {

struct Bench {
  boost::asio::io_context io{1};
  Nursery nursery{io.get_executor()};
  SslContext context = make_server_context();
  Listener listener;
  Slice body;
  std::shared_ptr<ClientConnection> upstream;

  Task<> answer(std::shared_ptr<Exchange> exchange) {
    ResponseHead head;
    head.headers = {{"content-type", "application/json"},
                    {"content-length", std::to_string(body.size())}};
    const auto sent = co_await exchange->respond(std::move(head), false);
    if (sent) (void)co_await exchange->write(body, true);
  }
  Task<> forward(std::shared_ptr<Exchange> exchange) {
    auto stream = co_await upstream->open(exchange->request(), true);
    if (!stream) co_return;
    auto head = co_await (*stream)->response();
    if (!head) co_return;
    auto sent = co_await exchange->respond(std::move(*head), false);
    while (sent) {
      auto bytes = co_await (*stream)->read();
      if (!bytes) co_return;
      const bool end = bytes->empty();
      sent = co_await exchange->write(std::move(*bytes), end);
      if (end) co_return;
    }
  }
  Task<> run_upstream(std::uint16_t port) {
    const auto client_context = make_client_context();
    auto tcp = co_await connect_tcp(io.get_executor(), Endpoint::v4(0x7f000001, port), 0,
                                    std::chrono::seconds{5});
    if (!tcp) co_return;
    auto stream = tls::Stream::create(*tcp, make_ssl(client_context.get(), false, "h2"));
    const auto shaken = co_await stream->handshake();
    if (!shaken) co_return;
    ClientLimits limits;
    limits.max_streams = 1000;
    upstream = ClientConnection::create(stream, "h2", limits);
    co_await upstream->run();
  }
  Task<> serve(std::shared_ptr<TcpTransport> tcp) {
    auto stream = tls::Stream::create(tcp, make_ssl(context.get(), true, ""));
    const auto shaken = co_await stream->handshake();
    if (!shaken) co_return;
    ServerOptions options;
    options.handler = [this](std::shared_ptr<Exchange> exchange) {
      return upstream ? forward(std::move(exchange)) : answer(std::move(exchange));
    };
    co_await ServerConnection::create(stream, stream->alpn(), std::move(options))->run();
  }
  Task<> accept() {
    for (;;) {
      auto tcp =
          TcpTransport::adopt(io.get_executor(), co_await listener.accept(io.get_executor()));
      if (tcp) nursery.spawn("connection", serve(*tcp));
    }
  }
};

}  // namespace
}  // namespace holdfast::http

int main(int argc, char** argv) {
  const std::size_t kib = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1;
  // Never destroyed: its coroutines run until the process is killed.
  auto& bench = *new holdfast::http::Bench;
  bench.body = holdfast::Slice::own(std::string(kib * 1024, 'b'));
  std::printf("%u\n", bench.listener.port);
  std::fflush(stdout);
  if (argc > 2) {
    const auto port = static_cast<std::uint16_t>(std::strtoul(argv[2], nullptr, 10));
    bench.nursery.spawn("upstream", bench.run_upstream(port));
  }
  bench.nursery.spawn("accept", bench.accept());
  bench.io.run();
}
