#include "agent/acceptor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace holdfast::agent {
namespace {

constexpr int kBacklog = 1024;

sockaddr_in6 socket_address(const Endpoint& endpoint) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(endpoint.port);
  std::memcpy(&address.sin6_addr, endpoint.address.data(), endpoint.address.size());
  return address;
}

Result<Fd> bind_v4(const Endpoint& endpoint) {
  Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!socket) return Error::from_errno("socket");
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(endpoint.port);
  std::memcpy(&address.sin_addr, endpoint.address.data() + 12, 4);
  if (bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return Error::from_errno("cannot listen on " + endpoint.to_string());
  }
  return socket;
}

Result<Fd> bind_v6(const Endpoint& endpoint) {
  Fd socket{::socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!socket) return Error::from_errno("socket");
  const int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  const auto address = socket_address(endpoint);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Error::from_errno("cannot listen on " + endpoint.to_string());
  }
  return socket;
}

}  // namespace

Endpoint endpoint_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    return Endpoint::v4(ntohl(four.sin_addr.s_addr), ntohs(four.sin_port));
  }
  const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
  Endpoint endpoint{.port = ntohs(six.sin6_port)};
  std::memcpy(endpoint.address.data(), &six.sin6_addr, endpoint.address.size());
  return endpoint;
}

Result<Acceptor> Acceptor::listen(const Endpoint& address) {
  auto socket = address.is_v4() ? bind_v4(address) : bind_v6(address);
  if (!socket) return socket.error();
  if (::listen(socket->get(), kBacklog) != 0) {
    return Error::from_errno("cannot listen on " + address.to_string());
  }
  Fd reserve{open("/dev/null", O_RDONLY | O_CLOEXEC)};
  return Acceptor{std::move(*socket), std::move(reserve)};
}

void Acceptor::refuse_one() {
  reserve_.reset();
  if (Fd victim{accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)}) {
    const linger rst{.l_onoff = 1, .l_linger = 0};
    setsockopt(victim.get(), SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
  }
  reserve_.reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

Task<> Acceptor::run(Executor executor, std::function<void(Fd socket)> on_connection,
                     std::function<void()> on_exhausted) {
  // Waiting goes through a duplicate, so that the listening socket stays ours.
  boost::asio::posix::basic_stream_descriptor<Executor> readable{
      executor, fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0)};
  Timer pause{executor};
  while (true) {
    Fd socket{accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (socket) {
      on_connection(std::move(socket));
      continue;
    }
    switch (errno) {
      case EAGAIN:
        co_await readable.async_wait(readable.wait_read, use_task);
        break;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        on_exhausted();
        refuse_one();
        // Others on this thread may give a descriptor back meanwhile.
        pause.expires_after(std::chrono::milliseconds{1});
        co_await pause.async_wait(use_task);
        break;
      default:  // the connection's own errors, see accept(2): the next one is not concerned
        break;
    }
  }
}

double Acceptor::backlog() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(socket_.get(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_sacked == 0 ? 0 : static_cast<double>(info.tcpi_unacked) / info.tcpi_sacked;
}

Endpoint Acceptor::local() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return endpoint_of(address);
}

}  // namespace holdfast::agent
