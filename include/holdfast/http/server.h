#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "holdfast/base/task.h"
#include "holdfast/http/exchange.h"
#include "holdfast/http/transport.h"

namespace holdfast::http {

/// The limits of one client connection; defaults follow kube-apiserver's where it has one.
struct ServerLimits {
  std::size_t header_bytes = 64 * 1024;     ///< all header fields of a request; beyond: 431
  std::uint32_t max_streams = 250;          ///< concurrent HTTP/2 streams
  std::chrono::seconds header_timeout{32};  ///< from the first byte to the end of the head
  std::chrono::seconds idle_timeout{180};   ///< without a stream; ends with GOAWAY
  std::chrono::seconds first_byte_timeout{32};
};

struct ServerOptions {
  ServerLimits limits;
  Handler handler;
  std::shared_ptr<void> context;  ///< for Exchange::context()
};

/// Serves one client connection until it ends. The protocol is `alpn` ("h2" or "http/1.1"); empty
/// means: look at the first bytes (the HTTP/2 preface or not).
/// PINGs are answered always, also while every stream is stalled.
class ServerConnection {
 public:
  static std::shared_ptr<ServerConnection> create(std::shared_ptr<Transport> transport,
                                                  std::string alpn, ServerOptions options);
  virtual ~ServerConnection() = default;

  /// Runs until the connection and all its handlers ended.
  virtual Task<> run() = 0;
  /// No new requests (GOAWAY, or `Connection: close`), those running go on; then it closes.
  virtual void drain() = 0;
  /// Ends it at once.
  virtual void close() = 0;
  /// Requests being served, and all since the start.
  [[nodiscard]] virtual std::size_t active() const = 0;
  [[nodiscard]] virtual std::uint64_t served() const = 0;
};

}  // namespace holdfast::http
