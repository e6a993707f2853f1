#pragma once

#include <functional>
#include <memory>

#include "holdfast/base/result.h"
#include "holdfast/base/slice.h"
#include "holdfast/base/task.h"
#include "holdfast/http/message.h"

namespace holdfast::http {

class Transport;

/// One request and its response, whatever the HTTP version, as the server side sees it. Lives on
/// the connection's io_context.
///
/// Backpressure is end to end: `read` gives the client window back for what it returned before,
/// `write` suspends while more than kWriteWindow bytes of this stream are unsent. A stalled client
/// so stalls one coroutine and buffers one window, no more.
class Exchange {
 public:
  static constexpr std::size_t kWriteWindow = 256 * 1024;  ///< bytes

  virtual ~Exchange() = default;

  [[nodiscard]] virtual const RequestHead& request() const = 0;
  /// What the server was given for this connection (see ServerOptions::context).
  [[nodiscard]] virtual const std::shared_ptr<void>& context() const = 0;

  /// The next piece of the request's body; empty at its end. kReset when the client aborted.
  virtual Task<Result<Slice>> read() = 0;
  /// Sends the head; `end` when no body follows. Must be called once, before `write`.
  virtual Task<Result<void>> respond(ResponseHead head, bool end) = 0;
  /// Sends a piece of the body; `end` with the last (which may be empty).
  virtual Task<Result<void>> write(Slice bytes, bool end) = 0;
  /// Aborts: RST_STREAM(INTERNAL_ERROR) or closing the HTTP/1.1 connection, so that the client
  /// can't take what it has for the whole answer. No effect when the response is complete.
  virtual void abort() = 0;
  /// As `abort`, for a request that nobody has begun to carry out: RST_STREAM(REFUSED_STREAM),
  /// after which a client may send it again, whatever it is (RFC 9113 §8.7). HTTP/1.1 can't say
  /// that.
  virtual void refuse() { abort(); }
  [[nodiscard]] virtual bool responded() const = 0;
  /// HTTP/1.1 only: sends `head` (101) and hands the connection's bytes over, those already read
  /// included. kUnsupported on HTTP/2.
  virtual Task<Result<std::unique_ptr<Transport>>> upgrade(ResponseHead head) = 0;
};

/// Answers one exchange. Cancelled (terminal) when the client resets the stream or the connection
/// ends: a handler that only waits is woken so. A handler that returns without having answered
/// yields a 500.
using Handler = std::function<Task<>(std::shared_ptr<Exchange>)>;

}  // namespace holdfast::http
