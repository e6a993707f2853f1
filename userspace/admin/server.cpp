#include "holdfast/admin/server.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <set>

#include "admin/routes.h"
#include "admin/unix_listener.h"
#include "holdfast/admin/trace_query.h"
#include "holdfast/base/event.h"
#include "holdfast/base/nursery.h"

namespace holdfast::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;
using Local = asio::local::stream_protocol;
using std::chrono::milliseconds;

constexpr std::size_t kMaxHeaderBytes = 8 * 1024;
constexpr std::size_t kTraceQueue = 8 * 1024;  // events: a second or so of a busy node
constexpr milliseconds kIdle{30'000};          // between two requests of one connection
constexpr milliseconds kPeerCheck{1'000};      // how soon a trace notices that its reader left

/// Named, since g++ 12 destroys a braced temporary twice when it is a coroutine's argument.
Answer refuse(int code, const std::string& why) {
  return {code, "text/plain; charset=utf-8", why + "\n"};
}

/// What the server needs to know of a connection to end it.
class Connection {
 public:
  virtual ~Connection() = default;
  virtual void close() = 0;
};

template <class Protocol>
class Session final : public Connection {
 public:
  using Stream = beast::basic_stream<Protocol, Executor>;
  using Socket = typename Stream::socket_type;

  Session(Socket socket, Channel channel, const ServerOptions& options, Source& source)
      : stream_{std::move(socket)},
        options_{options},
        source_{source},
        channel_{channel},
        wake_{std::make_shared<Event>(stream_.get_executor())} {}

  void close() override {
    closed_ = true;
    boost::system::error_code ignored;
    stream_.socket().shutdown(Socket::shutdown_both, ignored);
    stream_.close();
    wake_->notify_all();
  }

  Task<> run() {
    bool keep = true;
    for (bool first = true; keep && !closed_; first = false) {
      http::request_parser<http::empty_body> parser;
      parser.header_limit(kMaxHeaderBytes);
      parser.body_limit(0);
      // One deadline for the whole head: a client that sends it byte by byte gains nothing.
      stream_.expires_after(first ? options_.timeout : kIdle);
      const auto [ec, n] = co_await http::async_read(stream_, buffer_, parser, use_result);
      if (ec == http::error::header_limit) {
        Answer refusal = refuse(431, "the head is too large");
        co_await respond(std::move(refusal), false, false);
      }
      if (ec) break;
      keep = co_await answer(parser.get());
    }
    close();
  }

 private:
  Task<bool> answer(const http::request<http::empty_body>& request) {
    const bool head = request.method() == http::verb::head;
    const auto host = request[http::field::host];
    if (channel_ == Channel::kTcp && options_.listen.is_loopback() &&
        !is_local_host_header({host.data(), host.size()})) {
      Answer refusal = refuse(403, "unknown host");
      co_return co_await respond(std::move(refusal), head, false);
    }
    const auto method = request.method_string();
    const auto target = request.target();
    Answer answer =
        route(channel_, {method.data(), method.size()}, {target.data(), target.size()}, source_);
    if (answer.trace && !head) {
      co_await trace(std::move(answer));
      co_return false;
    }
    co_return co_await respond(std::move(answer), head, request.keep_alive());
  }

  /// Returns whether the connection can go on.
  Task<bool> respond(Answer answer, bool head, bool keep_alive) {
    http::response<http::string_body> response{static_cast<http::status>(answer.code), 11};
    response.set(http::field::content_type, answer.content_type);
    response.set(http::field::cache_control, "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    response.set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
    response.keep_alive(keep_alive);
    response.content_length(answer.body.size());
    if (!head) response.body() = std::move(answer.body);
    stream_.expires_after(options_.timeout);
    const auto [ec, n] = co_await http::async_write(stream_, response, use_result);
    co_return !ec && keep_alive;
  }

  Task<bool> send(std::string text) {
    stream_.expires_after(options_.timeout);
    const auto [ec, n] = co_await asio::async_write(stream_, asio::buffer(text), use_result);
    stream_.expires_never();
    co_return !ec;
  }

  /// A response without a length: it ends with the connection.
  Task<> trace(Answer answer) {
    // Called on a publisher's thread, possibly after this session has ended.
    auto wake = [executor = stream_.get_executor(), event = std::weak_ptr{wake_}] {
      asio::post(executor, [event] {
        if (const auto alive = event.lock()) alive->notify_all();
      });
    };
    auto subscription = source_.trace().subscribe(parse_trace_query(answer.query).value(),
                                                  kTraceQueue, std::move(wake));
    if (!subscription) {
      Answer refusal = refuse(503, subscription.error().message);
      co_await respond(std::move(refusal), false, false);
      co_return;
    }
    const auto events = std::move(*subscription);
    std::string head = "HTTP/1.1 200 OK\r\nContent-Type: " + answer.content_type +
                       "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n";
    const bool begun = co_await send(std::move(head));
    if (!begun) co_return;
    while (!closed_) {
      auto batch = events->take();
      if (batch.events.empty() && batch.lost == 0) {
        (void)co_await wake_->wait_for(kPeerCheck);
        if (peer_left()) co_return;
        continue;
      }
      std::string lines;
      for (const auto& event : batch.events) lines += telemetry::to_json(*event) + "\n";
      if (batch.lost > 0) {
        lines += R"({"kind":"lost","count":)" + std::to_string(batch.lost) + "}\n";
      }
      if (!co_await send(std::move(lines))) co_return;
    }
  }

  /// Nobody reads from the socket while it is traced, so the end has to be looked for.
  bool peer_left() {
    char byte = 0;
    const auto n =
        ::recv(stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT | MSG_NOSIGNAL);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
  }

  Stream stream_;
  const ServerOptions& options_;
  Source& source_;
  Channel channel_;
  std::shared_ptr<Event> wake_;
  beast::flat_buffer buffer_{kMaxHeaderBytes + 1024};
  bool closed_ = false;
};

class ServerImpl final : public Server {
 public:
  template <class Protocol>
  using Acceptor = asio::basic_socket_acceptor<Protocol, Executor>;

  ServerImpl(Executor executor, ServerOptions options, Source& source, Acceptor<Tcp> tcp,
             UnixListener unix_file)
      : options_{std::move(options)},
        source_{source},
        nursery_{executor},
        tcp_{std::move(tcp)},
        unix_file_{std::move(unix_file)},
        unix_{executor, Local{}, unix_file_.release()} {}

  Task<> run() override {
    nursery_.spawn("admin listener", accept(&tcp_, Channel::kTcp));
    nursery_.spawn("admin socket", accept(&unix_, Channel::kUnix));
    co_await asio::this_coro::throw_if_cancelled(false);
    try {
      co_await nursery_.join();
    } catch (const boost::system::system_error&) {
      // Cancelled: end what runs, then wait for it without being disturbed again.
    }
    stop();
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await nursery_.join();
  }

  void stop() override {
    stopping_ = true;
    boost::system::error_code ignored;
    tcp_.close(ignored);
    unix_.close(ignored);
    nursery_.cancel();  // an acceptor that waits for descriptors
    // close() only posts: no session ends within this loop.
    for (auto* connection : connections_) connection->close();
  }

  Endpoint listening() const override {
    boost::system::error_code ec;
    const auto local = tcp_.local_endpoint(ec);
    if (ec) return options_.listen;
    const auto found = Endpoint::from_address(local.address().to_string(), local.port());
    return found ? *found : options_.listen;
  }

 private:
  template <class Protocol>
  Task<> accept(Acceptor<Protocol>* acceptor, Channel channel) {
    Timer pause{nursery_.executor()};
    std::size_t& count = counts_[static_cast<std::size_t>(channel)];
    while (!stopping_) {
      auto [ec, socket] = co_await acceptor->async_accept(use_result);
      if (stopping_ || ec == asio::error::operation_aborted) co_return;
      if (ec) {
        // Out of descriptors, most likely: they come back.
        pause.expires_after(milliseconds{100});
        co_await pause.async_wait(use_result);
        continue;
      }
      if (count >= options_.max_connections) continue;  // closes it
      nursery_.spawn("admin connection", serve<Protocol>(std::move(socket), channel));
    }
  }

  template <class Protocol>
  Task<> serve(typename Session<Protocol>::Socket socket, Channel channel) {
    Session<Protocol> session{std::move(socket), channel, options_, source_};
    std::size_t& count = counts_[static_cast<std::size_t>(channel)];
    const auto entry = connections_.insert(&session).first;
    ++count;
    try {
      co_await session.run();
    } catch (const std::exception& e) {
      spdlog::debug("admin connection ended: {}", e.what());
    }
    --count;
    connections_.erase(entry);
  }

  ServerOptions options_;
  Source& source_;
  Nursery nursery_;
  Acceptor<Tcp> tcp_;
  UnixListener unix_file_;
  Acceptor<Local> unix_;
  std::set<Connection*> connections_;
  std::array<std::size_t, 2> counts_{};
  bool stopping_ = false;
};

Result<ServerImpl::Acceptor<Tcp>> bind_tcp(Executor executor, const Endpoint& listen) {
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(listen.address_string(), ec);
  ServerImpl::Acceptor<Tcp> acceptor{executor};
  const Tcp::endpoint endpoint{address, listen.port};
  if (!ec) acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(asio::socket_base::reuse_address{true}, ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(64, ec);
  if (ec) return Error{ec, "cannot listen on " + listen.to_string() + " (admin.listen)"};
  return acceptor;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::create(Executor executor, ServerOptions options,
                                               Source& source) {
  auto tcp = bind_tcp(executor, options.listen);
  if (!tcp) return tcp.error();
  auto unix_listener = UnixListener::create(options.socket);
  if (!unix_listener) return unix_listener.error();
  return std::make_unique<ServerImpl>(executor, std::move(options), source, std::move(*tcp),
                                      std::move(*unix_listener));
}

}  // namespace holdfast::admin
