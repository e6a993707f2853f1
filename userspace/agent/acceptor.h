#pragma once

#include <sys/socket.h>

#include <functional>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/fd.h"
#include "holdfast/base/result.h"
#include "holdfast/base/task.h"

namespace holdfast::agent {

/// From what getsockname, getpeername and accept give.
Endpoint endpoint_of(const sockaddr_storage& address);

/// One thread's share of the node listener: each thread has a socket of its own on the same address
/// (SO_REUSEPORT), and the kernel spreads connections over them.
class Acceptor {
 public:
  /// `address` may have port 0. The error names the address.
  static Result<Acceptor> listen(const Endpoint& address);

  /// Accepts until cancelled. `on_connection` gets each socket, non-blocking. With no descriptor
  /// left, `on_exhausted` is told, and a connection is accepted with one kept in reserve and reset:
  /// a client that is refused at once connects again, directly, while one that waits in the backlog
  /// would hang.
  Task<> run(Executor executor, std::function<void(Fd socket)> on_connection,
             std::function<void()> on_exhausted);

  /// How full the accept queue is, 0…1 (tcp(7): TCP_INFO of a listening socket).
  [[nodiscard]] double backlog() const;
  [[nodiscard]] Endpoint local() const;

 private:
  Acceptor(Fd socket, Fd reserve) : socket_{std::move(socket)}, reserve_{std::move(reserve)} {}
  void refuse_one();
  Fd socket_;
  Fd reserve_;
};

}  // namespace holdfast::agent
