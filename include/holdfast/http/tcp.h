#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/fd.h"
#include "holdfast/base/result.h"
#include "holdfast/base/task.h"
#include "holdfast/http/transport.h"

namespace holdfast::http {

/// A connected TCP socket as a Transport. `peek` lets the TLS step read a ClientHello before
/// anybody decided what this connection is.
class TcpTransport : public Transport {
 public:
  /// Takes a connected, non-blocking socket.
  static Result<std::shared_ptr<TcpTransport>> adopt(Executor executor, Fd socket);

  /// Bytes at the front of the stream that will be read again: at least `minimum` unless the peer
  /// ended (then what there is) or `timeout` passed (kTimeout).
  virtual Task<Result<Slice>> peek(std::size_t minimum, std::chrono::milliseconds timeout) = 0;
  /// From now on, closing throws away what the peer has not acknowledged (SO_LINGER of 0). Else the
  /// kernel goes on sending it: a write that was given up would be carried out minutes later, when
  /// the link is back.
  virtual void discard_on_close() = 0;
  [[nodiscard]] virtual Endpoint peer() const = 0;
  [[nodiscard]] virtual Endpoint local() const = 0;
};

/// Connects; `mark` (SO_MARK, 0 for none) keeps our own connections out of the redirection.
Task<Result<std::shared_ptr<TcpTransport>>> connect_tcp(Executor executor, Endpoint to,
                                                        std::uint32_t mark,
                                                        std::chrono::milliseconds timeout);

}  // namespace holdfast::http
