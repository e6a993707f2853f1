#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "holdfast/base/result.h"
#include "holdfast/base/slice.h"
#include "holdfast/base/task.h"

namespace holdfast::http {

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
};

/// Copies both ways with half-close until both directions ended; returns the bytes of each.
/// Used for splices and for upgraded connections.
struct TunnelTotals {
  std::size_t to_server = 0;
  std::size_t to_client = 0;
};
Task<TunnelTotals> tunnel(std::shared_ptr<Transport> client, std::shared_ptr<Transport> server);

}  // namespace holdfast::http
