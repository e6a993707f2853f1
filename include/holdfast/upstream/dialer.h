#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/result.h"
#include "holdfast/base/task.h"
#include "holdfast/http/client.h"
#include "holdfast/http/transport.h"
#include "holdfast/upstream/identity.h"

namespace holdfast::upstream {

/// An API server.
struct Server {
  std::string host;  ///< DNS name or numeric address
  std::uint16_t port = 6443;
  std::string tls_name;  ///< verified in the certificate, sent as SNI; empty: `host`

  /// From "https://host:port" (the path is ignored). kInvalidArgument.
  static Result<Server> parse(std::string_view url);
  [[nodiscard]] std::string authority() const;  ///< "host:port", brackets around IPv6
  bool operator==(const Server&) const = default;
};

struct DialOptions {
  std::string ca_pem;      ///< the roots that servers must verify with
  std::uint32_t mark = 0;  ///< SO_MARK: keeps our own connections out of the redirection
  std::chrono::milliseconds timeout{5000};  ///< to the end of the TLS handshake, once resolved
  /// Told of bytes that were sent and received, below TLS; may be empty. Called on the data path.
  std::function<void(std::size_t sent, std::size_t received)> on_bytes;
};

/// A connection under TLS whose server was verified.
struct Dialed {
  std::shared_ptr<http::Transport> transport;
  std::string alpn;
};

/// Opens connections: the seam that unit tests replace. Lives on one io_context.
class Dialer {
 public:
  enum class Protocol : std::uint8_t {
    kAny,    ///< ALPN h2, http/1.1
    kHttp11  ///< for upgrades
  };
  /// kInvalidArgument when the CA can't be read.
  static Result<std::unique_ptr<Dialer>> create(Executor executor, DialOptions options);
  virtual ~Dialer() = default;

  /// kRefused, kTimeout, kReset, or kProtocol when TLS failed: the message names the server.
  virtual Task<Result<Dialed>> dial(Server server, Identity identity, Protocol protocol) = 0;
  virtual std::shared_ptr<http::ClientConnection> connection(Dialed dialed,
                                                             http::ClientLimits limits) = 0;
};

}  // namespace holdfast::upstream
