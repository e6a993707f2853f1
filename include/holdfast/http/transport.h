#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "holdfast/base/result.h"
#include "holdfast/base/slice.h"
#include "holdfast/base/task.h"

namespace holdfast::http {

/// How far the peer's kernel is with what was written.
struct Upload {
  std::uint64_t acknowledged = 0;  ///< bytes in all
  std::size_t waiting = 0;         ///< bytes sent or to be sent, and not acknowledged
};

/// A connection's bytes, plain or under TLS. One coroutine reads, one writes.
class Transport {
 public:
  virtual ~Transport() = default;

  /// Some bytes; empty at an orderly end (TCP FIN or close_notify). kReset on RST.
  virtual Task<Result<Slice>> read() = 0;
  /// All of `bytes`. Coalesces what is written while a write is under way.
  virtual Task<Result<void>> write(Slice bytes) = 0;
  /// Ends our direction (TLS close_notify, then FIN); reading goes on.
  virtual Task<Result<void>> shutdown() = 0;
  /// Closes at once; pending calls end with kCancelled or kClosed.
  virtual void close() = 0;
  [[nodiscard]] virtual Executor executor() = 0;
  /// On the wire, below TLS; nothing where that is not known.
  [[nodiscard]] virtual Upload upload() const { return {}; }
};

/// Ends a connection that nothing is to be said on in order: with our FIN, after what the peer sent
/// was read, since closing with input unread is a reset. Waits a second for the peer's own end.
Task<> hang_up(std::shared_ptr<Transport> transport);

/// Copies both ways with half-close until both directions ended; returns the bytes of each.
/// Used for splices and for upgraded connections.
struct TunnelTotals {
  std::size_t to_server = 0;
  std::size_t to_client = 0;
};
Task<TunnelTotals> tunnel(std::shared_ptr<Transport> client, std::shared_ptr<Transport> server);

}  // namespace holdfast::http
