#include "kernel/sockaddr.h"

#include <cstring>

namespace holdfast::kernel {

SocketAddress to_sockaddr(const Endpoint& endpoint) {
  SocketAddress out;
  if (endpoint.is_v4()) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    std::memcpy(&address.sin_addr, endpoint.address.data() + 12, 4);
    std::memcpy(&out.storage, &address, sizeof(address));
    out.length = sizeof(address);
  } else {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(endpoint.port);
    std::memcpy(&address.sin6_addr, endpoint.address.data(), 16);
    std::memcpy(&out.storage, &address, sizeof(address));
    out.length = sizeof(address);
  }
  return out;
}

Endpoint from_sockaddr(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    sockaddr_in address{};
    std::memcpy(&address, &storage, sizeof(address));
    return Endpoint::v4(ntohl(address.sin_addr.s_addr), ntohs(address.sin_port));
  }
  sockaddr_in6 address{};
  std::memcpy(&address, &storage, sizeof(address));
  Endpoint out;
  std::memcpy(out.address.data(), &address.sin6_addr, 16);
  out.port = ntohs(address.sin6_port);
  return out;
}

Endpoint local_endpoint(int socket) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return from_sockaddr(storage);
}

Endpoint peer_endpoint(int socket) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return from_sockaddr(storage);
}

}  // namespace holdfast::kernel
