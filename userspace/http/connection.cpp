#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <utility>

#include "holdfast/base/deadline.h"
#include "holdfast/http/client.h"
#include "holdfast/http/server.h"
#include "http/h1_client.h"
#include "http/h1_server.h"
#include "http/h2_client.h"
#include "http/h2_server.h"
#include "http/prefix_transport.h"

namespace holdfast::http {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";  // RFC 9113 §3.4

std::shared_ptr<ServerConnection> make_server(const std::string& alpn,
                                              std::shared_ptr<Transport> transport,
                                              ServerOptions options) {
  if (alpn == "h2") return std::make_shared<H2Server>(std::move(transport), std::move(options));
  return std::make_shared<H1Server>(std::move(transport), std::move(options));
}

/// A connection whose protocol its first bytes tell.
class SniffedServer final : public ServerConnection,
                            public std::enable_shared_from_this<SniffedServer> {
 public:
  SniffedServer(std::shared_ptr<Transport> transport, ServerOptions options)
      : transport_{std::move(transport)}, options_{std::move(options)} {}

  Task<> run() override {
    const auto self = shared_from_this();
    std::string seen;
    {
      // Also a preface that comes byte by byte.
      const Deadline deadline{transport_->executor(), options_.limits.first_byte_timeout,
                              [this] { transport_->close(); }};
      while (!closed_) {
        const auto bytes = co_await transport_->read();
        if (!bytes || bytes->empty()) break;
        seen += bytes->view();
        if (seen.size() >= kPreface.size() || !kPreface.starts_with(seen)) break;
      }
    }
    if (closed_ || (draining_ && seen.empty())) {
      transport_->close();
      co_return;
    }
    const std::string alpn = seen.starts_with(kPreface) ? "h2" : "http/1.1";
    auto rest = std::make_shared<PrefixTransport>(transport_, Slice::own(std::move(seen)));
    inner_ = make_server(alpn, std::move(rest), std::move(options_));
    if (draining_) inner_->drain();
    co_await inner_->run();
  }

  void drain() override {
    draining_ = true;
    if (inner_) {
      inner_->drain();
    } else {
      transport_->close();
    }
  }
  void close() override {
    closed_ = true;
    if (inner_) {
      inner_->close();
    } else {
      transport_->close();
    }
  }
  std::size_t active() const override { return inner_ ? inner_->active() : 0; }
  std::uint64_t served() const override { return inner_ ? inner_->served() : 0; }

 private:
  std::shared_ptr<Transport> transport_;
  ServerOptions options_;
  std::shared_ptr<ServerConnection> inner_;
  bool draining_ = false;
  bool closed_ = false;
};

}  // namespace

std::shared_ptr<ServerConnection> ServerConnection::create(std::shared_ptr<Transport> transport,
                                                           std::string alpn,
                                                           ServerOptions options) {
  if (alpn.empty()) {
    return std::make_shared<SniffedServer>(std::move(transport), std::move(options));
  }
  return make_server(alpn, std::move(transport), std::move(options));
}

std::shared_ptr<ClientConnection> ClientConnection::create(std::shared_ptr<Transport> transport,
                                                           std::string alpn, ClientLimits limits) {
  if (alpn == "h2") return std::make_shared<H2Client>(std::move(transport), limits);
  return std::make_shared<H1Client>(std::move(transport), limits);
}

}  // namespace holdfast::http
