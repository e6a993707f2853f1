#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "holdfast/base/endpoint.h"

namespace holdfast::kernel {

/// An endpoint as system calls want it: AF_INET for IPv4, AF_INET6 else.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
};

SocketAddress to_sockaddr(const Endpoint& endpoint);
/// `storage` must hold AF_INET or AF_INET6.
Endpoint from_sockaddr(const sockaddr_storage& storage);

/// Both ends of a connected TCP socket; a zero endpoint when it has none.
Endpoint local_endpoint(int socket);
Endpoint peer_endpoint(int socket);

}  // namespace holdfast::kernel
