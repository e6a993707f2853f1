#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/fd.h"
#include "holdfast/base/result.h"
#include "holdfast/kernel/types.h"

namespace holdfast::kernel {

/// A client's TCP socket, as the kernel lists it.
struct TcpSocket {
  Endpoint local, remote;
  bool connecting = false;  ///< SYN_SENT: nobody answered yet
  std::uint32_t inode = 0;  ///< as in "socket:[…]" under /proc/PID/fd
  std::uint32_t mark = 0;   ///< SO_MARK
  CgroupId cgroup_id{};     ///< unknown before Linux 5.9
  /// What the kernel finds it by (struct inet_diag_sockid), its cookie included, so that a later
  /// socket with the same addresses is never taken for it.
  std::array<std::uint8_t, 48> id{};
  std::uint8_t family = 0;
};

/// The TCP sockets of one network namespace, over NETLINK_SOCK_DIAG (sock_diag(7)). Move-only, one
/// thread at a time.
class SocketTable {
 public:
  /// Of the namespace that this is a descriptor of; -1: the caller's own.
  static Result<SocketTable> open(int netns = -1);

  /// Those that are connected to one of these, or try to be.
  Result<std::vector<TcpSocket>> connected_to(std::span<const Endpoint> remotes);
  /// Ends it with a reset to the other side and ECONNABORTED for its owner. Needs CAP_NET_ADMIN.
  /// kNotFound when it is gone, kUnsupported when this kernel lacks CONFIG_INET_DIAG_DESTROY.
  Result<> reset(const TcpSocket& socket);

 private:
  explicit SocketTable(Fd socket) : socket_{std::move(socket)} {}
  Result<> dump(std::uint8_t family, std::uint16_t port, std::span<const Endpoint> remotes,
                std::vector<TcpSocket>& out);
  Fd socket_;
};

}  // namespace holdfast::kernel
