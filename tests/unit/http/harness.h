#pragma once

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <functional>
#include <memory>
#include <string>

#include "holdfast/base/nursery.h"
#include "holdfast/http/client.h"
#include "holdfast/http/server.h"
#include "holdfast/http/tcp.h"
#include "holdfast/tls/stream.h"

namespace holdfast::http {

struct SslContextDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslContextDeleter>;

/// With a self-signed certificate made in here; offers h2 and http/1.1.
SslContext make_server_context();
SslContext make_client_context();
/// Sets ALPN (for a client) and the role.
SSL* make_ssl(SSL_CTX* context, bool server, const std::string& alpn);

/// Two ends of a TCP connection over loopback.
struct Pair {
  std::shared_ptr<TcpTransport> client;
  std::shared_ptr<TcpTransport> server;
};
Pair make_pair(Executor executor);

/// A listening socket on 127.0.0.1 with a port of the kernel's choice.
struct Listener {
  Listener();
  /// Waits without blocking the io_context.
  Task<Fd> accept(Executor executor);
  Fd fd;
  std::uint16_t port = 0;
};

/// The body up to its end, or the error.
Task<Result<std::string>> read_all(std::shared_ptr<Exchange> exchange);
Task<Result<std::string>> read_all(ClientStream* stream);
Task<Result<std::string>> read_all(std::shared_ptr<Transport> transport);

struct Reply {
  ResponseHead head;
  std::string body;
};
Task<Result<Reply>> get(std::shared_ptr<ClientConnection> client, std::string target,
                        std::string method = "GET", std::string body = {});
RequestHead request_head(std::string method, std::string target);
Task<> respond_text(std::shared_ptr<Exchange> exchange, std::string body);

/// Runs coroutines on an io_context of its own; a test that hangs fails after a while.
class IoTest {
 public:
  ~IoTest();
  /// Runs `main` to its end, then closes every connection made here and joins.
  void run(Task<> main);
  [[nodiscard]] Executor executor() { return io_.get_executor(); }

  std::shared_ptr<ServerConnection> serve(std::shared_ptr<Transport> transport, std::string alpn,
                                          ServerOptions options);
  std::shared_ptr<ClientConnection> connect(std::shared_ptr<Transport> transport, std::string alpn,
                                            ClientLimits limits = {});
  struct Both {
    std::shared_ptr<ServerConnection> server;
    std::shared_ptr<ClientConnection> client;
  };
  Task<Both> link(std::string alpn, bool tls, ServerOptions options, ClientLimits limits = {});

  Nursery& nursery() { return nursery_; }

 private:
  Task<> finish(Task<> main);
  Task<> shake(std::shared_ptr<tls::Stream> stream, bool* done);

  boost::asio::io_context io_{1};
  Nursery nursery_{io_.get_executor()};
  std::vector<std::shared_ptr<ServerConnection>> servers_;
  std::vector<std::shared_ptr<ClientConnection>> clients_;
  SslContext server_context_ = make_server_context();
  SslContext client_context_ = make_client_context();
  bool finished_ = false;
};

}  // namespace holdfast::http
