#include "holdfast/http/tcp.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstring>
#include <utility>

#include "holdfast/base/deadline.h"
#include "http/block.h"

namespace holdfast::http {
namespace {

namespace asio = boost::asio;
using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;

Error from_system(int number, const char* what) {
  switch (number) {
    case ECONNRESET:
    case EPIPE:
    case ETIMEDOUT:  // keepalive or user time-out: the peer is gone without a word
      return make_error(Errc::kReset, what);
    case EBADF:
    case ECANCELED:
      return make_error(Errc::kCancelled, what);
    default:
      return Error{{number, boost::system::system_category()}, what};
  }
}

Endpoint from_sockaddr(const sockaddr_storage& address) {
  Endpoint endpoint;
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return Endpoint::v4(ntohl(v4.sin_addr.s_addr), ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    std::memcpy(endpoint.address.data(), &v6.sin6_addr, endpoint.address.size());
    endpoint.port = ntohs(v6.sin6_port);
  }
  return endpoint;
}

asio::ip::tcp::endpoint to_asio(const Endpoint& endpoint) {
  asio::ip::address_v6::bytes_type bytes;
  std::copy(endpoint.address.begin(), endpoint.address.end(), bytes.begin());
  const asio::ip::address_v6 v6{bytes};
  if (endpoint.is_v4()) {
    return {asio::ip::make_address_v4(asio::ip::v4_mapped, v6), endpoint.port};
  }
  return {v6, endpoint.port};
}

// Best effort: an AF_UNIX socket of a test knows none of these.
void set_tcp_options(int fd) {
  const auto set = [fd](int level, int name, int value) {
    ::setsockopt(fd, level, name, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);  // seconds; as Go's net package of old, kubelet's pace too
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

class TcpSocket final : public TcpTransport, public std::enable_shared_from_this<TcpSocket> {
 public:
  TcpSocket(Socket socket, Endpoint local, Endpoint peer)
      : socket_{std::move(socket)}, fd_{socket_.native_handle()}, local_{local}, peer_{peer} {}

  Task<Result<Slice>> read() override {
    const auto self = shared_from_this();
    if (!ahead_.empty()) co_return std::exchange(ahead_, Slice{});
    co_return co_await receive();
  }

  Task<Result<void>> write(Slice bytes) override {
    const auto self = shared_from_this();
    std::string_view rest = bytes.view();
    while (!rest.empty()) {
      if (fd_ < 0) co_return make_error(Errc::kCancelled, "write");
      const ssize_t sent = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent >= 0) {
        sent_ += static_cast<std::uint64_t>(sent);
        rest.remove_prefix(static_cast<std::size_t>(sent));
        continue;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) co_return from_system(errno, "write");
      const auto [ec] = co_await socket_.async_wait(Socket::wait_write, use_result);
      if (ec) co_return from_system(ec.value(), "write");
    }
    co_return Result<void>{};
  }

  Task<Result<void>> shutdown() override {
    if (fd_ >= 0) ::shutdown(fd_, SHUT_WR);
    co_return Result<void>{};
  }

  void close() override {
    fd_ = -1;
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  void discard_on_close() override {
    const linger reset{.l_onoff = 1, .l_linger = 0};
    if (fd_ >= 0) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }

  Executor executor() override { return socket_.get_executor(); }

  Upload upload() const override {
    int waiting = 0;
    if (fd_ < 0 || ::ioctl(fd_, SIOCOUTQ, &waiting) != 0 || waiting < 0) return {};
    const auto size = std::min(sent_, static_cast<std::uint64_t>(waiting));
    return {.acknowledged = sent_ - size, .waiting = size};
  }

  Task<Result<Slice>> peek(std::size_t minimum, std::chrono::milliseconds timeout) override {
    const auto self = shared_from_this();
    bool late = false;
    const Deadline deadline{executor(), timeout, [this, &late] {
                              late = true;
                              boost::system::error_code ignored;
                              socket_.cancel(ignored);
                            }};
    while (ahead_.size() < minimum && !ended_) {
      auto more = co_await receive();
      if (!more) {
        if (late) co_return make_error(Errc::kTimeout, "peek");
        co_return more.error();
      }
      if (more->empty()) break;
      if (ahead_.empty()) {
        ahead_ = *more;
      } else {
        ahead_ = Slice::own(std::string{ahead_.view()}.append(more->view()));
      }
    }
    co_return ahead_;
  }

  Endpoint peer() const override { return peer_; }
  Endpoint local() const override { return local_; }

 private:
  Task<Result<Slice>> receive() {
    while (!ended_) {
      if (fd_ < 0) co_return make_error(Errc::kCancelled, "read");
      if (maybe_readable_) {
        Block block = Block::take();
        const ssize_t got = ::recv(fd_, block.tail(), Block::kPayload, MSG_DONTWAIT);
        if (got > 0) {
          // A short read emptied the socket: the next one waits first.
          maybe_readable_ = static_cast<std::size_t>(got) == Block::kPayload;
          block.commit(static_cast<std::size_t>(got));
          co_return std::move(block).slice();
        }
        if (got == 0) {
          ended_ = true;
          break;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) co_return from_system(errno, "read");
      }
      // No block is held while waiting: that is what keeps idle connections small.
      const auto [ec] = co_await socket_.async_wait(Socket::wait_read, use_result);
      if (ec) co_return from_system(ec.value(), "read");
      maybe_readable_ = true;
    }
    co_return Slice{};
  }

  Socket socket_;
  int fd_;
  Endpoint local_;
  Endpoint peer_;
  std::uint64_t sent_ = 0;
  Slice ahead_;  // peeked at
  bool maybe_readable_ = true;
  bool ended_ = false;
};

}  // namespace

Result<std::shared_ptr<TcpTransport>> TcpTransport::adopt(Executor executor, Fd socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return Error::from_errno("getpeername");
  }
  const Endpoint peer = from_sockaddr(address);
  const auto protocol = address.ss_family == AF_INET ? asio::ip::tcp::v4() : asio::ip::tcp::v6();
  address = {};
  size = sizeof address;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return Error::from_errno("getsockname");
  }
  const Endpoint local = from_sockaddr(address);
  set_tcp_options(socket.get());
  Socket adopted{executor};
  boost::system::error_code ec;
  adopted.assign(protocol, socket.get(), ec);
  if (ec) return Error{ec, "assign"};
  (void)socket.release();
  adopted.non_blocking(true, ec);
  if (ec) return Error{ec, "non_blocking"};
  return std::shared_ptr<TcpTransport>{
      std::make_shared<TcpSocket>(std::move(adopted), local, peer)};
}

Task<Result<std::shared_ptr<TcpTransport>>> connect_tcp(Executor executor, Endpoint to,
                                                        std::uint32_t mark,
                                                        std::chrono::milliseconds timeout) {
  const auto target = to_asio(to);
  Fd fd{::socket(target.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd) co_return Error::from_errno("socket");
  if (mark != 0 && ::setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0) {
    co_return Error::from_errno("SO_MARK");
  }
  Socket socket{executor};
  boost::system::error_code ec;
  socket.assign(target.protocol(), fd.get(), ec);
  if (ec) co_return Error{ec, "assign"};
  (void)fd.release();
  bool late = false;
  {
    const Deadline deadline{executor, timeout, [&socket, &late] {
                              late = true;
                              boost::system::error_code ignored;
                              socket.close(ignored);
                            }};
    const auto [failed] = co_await socket.async_connect(target, use_result);
    ec = failed;
  }
  if (late) co_return make_error(Errc::kTimeout, "connect to " + to.to_string());
  if (ec == asio::error::operation_aborted) {
    co_return make_error(Errc::kCancelled, "connect to " + to.to_string());
  }
  if (ec) co_return Error{ec, "connect to " + to.to_string()};
  Fd connected{socket.release(ec)};
  if (ec) co_return Error{ec, "release"};
  co_return TcpTransport::adopt(executor, std::move(connected));
}

}  // namespace holdfast::http
