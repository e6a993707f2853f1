#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "holdfast/base/result.h"
#include "holdfast/base/slice.h"
#include "holdfast/base/task.h"
#include "holdfast/http/message.h"
#include "holdfast/http/transport.h"

namespace holdfast::http {

/// One request to a server and its response, as the client side sees it.
class ClientStream {
 public:
  /// Cancels the request if the response has not ended.
  virtual ~ClientStream() = default;

  /// The head of the response (1xx other than 101 are skipped). kReset, kClosed, kTimeout.
  virtual Task<Result<ResponseHead>> response() = 0;
  /// The next piece of the body; empty at its end. Gives the stream's window back for what was
  /// returned before: a reader that stops stalls this stream alone. kReset or kClosed when the
  /// response was cut short: an end is never mistaken for one.
  virtual Task<Result<Slice>> read() = 0;
  /// A piece of the request's body; suspends while the peer's window is used up.
  virtual Task<Result<void>> write(Slice bytes, bool end) = 0;
  /// RST_STREAM(CANCEL), or closing the HTTP/1.1 connection. Pending calls end with kCancelled.
  virtual void cancel() = 0;
  /// When the last byte came from the server, be it for another stream of the same connection:
  /// that this response takes its time does not mean that the server is away.
  [[nodiscard]] virtual SteadyClock::time_point last_received() const { return {}; }
  /// Asks the server for such a byte, where the protocol can (HTTP/2 PING).
  virtual void nudge() {}
  /// Closes the connection under it at once, all of its streams included, and drops what is not
  /// sent yet: for a request that must not arrive late. Pending calls end with kReset.
  virtual void close_connection() { cancel(); }
};

struct ClientLimits {
  std::uint32_t stream_window = 512 * 1024;    ///< bytes, per stream
  std::uint32_t connection_window = 1u << 30;  ///< bytes
  std::size_t header_bytes = 256 * 1024;
  std::uint32_t max_streams = 100;  ///< or what the server allows, if less
};

/// A connection to an API server, HTTP/2 or HTTP/1.1 by ALPN; HTTP/1.1 carries one request at a
/// time.
class ClientConnection {
 public:
  static std::shared_ptr<ClientConnection> create(std::shared_ptr<Transport> transport,
                                                  std::string alpn, ClientLimits limits);
  virtual ~ClientConnection() = default;

  /// Reads and writes until the connection ends; the owner runs it in its nursery.
  virtual Task<> run() = 0;
  /// Starts a request; `end` when it has no body. kUnavailable when no stream can be opened
  /// (GOAWAY, limit): take another connection, nothing was sent.
  virtual Task<Result<std::unique_ptr<ClientStream>>> open(RequestHead head, bool end) = 0;
  /// HTTP/2 PING; the time it took. On HTTP/1.1 kUnsupported.
  virtual Task<Result<std::chrono::nanoseconds>> ping(std::chrono::milliseconds timeout) = 0;
  [[nodiscard]] virtual bool usable() const = 0;  ///< a stream can be opened now
  /// The server said that it will take no more requests (GOAWAY, `Connection: close`): when this
  /// connection ends, nothing is wrong. kube-apiserver says so to every unauthenticated request
  /// (feature gate UnauthenticatedHTTP2DOSMitigation).
  [[nodiscard]] virtual bool going_away() const = 0;
  [[nodiscard]] virtual std::size_t active() const = 0;
  /// When the last byte came from the server: the link's passive sign of life.
  [[nodiscard]] virtual SteadyClock::time_point last_received() const = 0;
  /// How far what we sent is: a large upload on a slow line may be the only sign of life for long.
  [[nodiscard]] virtual Upload upload() const { return {}; }
  /// Closes at once; streams end with kReset.
  virtual void close() = 0;
};

}  // namespace holdfast::http
