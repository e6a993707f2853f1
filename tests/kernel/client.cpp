#include "client.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "kernel/sockaddr.h"

namespace holdfast::kernel::testing {

namespace {

enum class Order : std::uint8_t { kDial, kSend, kReceive, kClose, kAbort };

struct Request {
  Order order{};
  Dial dial;
  int handle = -1;
  std::size_t bytes = 0;
};

struct Reply {
  Dialled dialled;
  long count = 0;
};

SocketAddress address_of(const Dial& dial) {
  if (!dial.mapped) return to_sockaddr(dial.to);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(dial.to.port);
  std::memcpy(&address.sin6_addr, dial.to.address.data(), 16);
  SocketAddress out;
  std::memcpy(&out.storage, &address, sizeof(address));
  out.length = sizeof(address);
  return out;
}

Dialled do_dial(const Dial& dial) {
  Dialled out;
  const auto address = address_of(dial);
  const int type = dial.udp ? SOCK_DGRAM : SOCK_STREAM;
  const int flags = dial.give_up ? SOCK_NONBLOCK : 0;
  const int fd = dial.reuse >= 0 ? dial.reuse : ::socket(address.family(), type | flags, 0);
  if (dial.mark) ::setsockopt(fd, SOL_SOCKET, SO_MARK, &dial.mark, sizeof(dial.mark));
  if (dial.from_port) {
    const int yes = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_port = htons(dial.from_port);
    ::bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof(from));
  }
  const auto before = std::chrono::steady_clock::now();
  out.error = ::connect(fd, address.get(), address.length) == 0 ? 0 : errno;
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  if (dial.give_up) {
    ::close(fd);
    return out;
  }
  socklen_t length = sizeof(out.syn_count);
  ::getsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &out.syn_count, &length);
  if (!out.error) {
    out.peer = peer_endpoint(fd);
    out.local = local_endpoint(fd);
  }
  out.handle = fd;
  return out;
}

long do_receive(int fd, std::size_t wanted) {
  std::vector<char> buffer(std::max<std::size_t>(wanted, 1));
  std::size_t total = 0;
  do {
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size() - total, 0);
    if (n < 0) return -errno;
    if (n == 0) break;
    total += static_cast<std::size_t>(n);
  } while (total < wanted);
  return static_cast<long>(total);
}

long do_send(int fd, std::size_t bytes) {
  const std::vector<char> data(bytes, 'x');
  const ssize_t n = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
  return n < 0 ? 0 : static_cast<long>(n);
}

[[noreturn]] void serve(int control) {
  Request request;
  while (::recv(control, &request, sizeof(request), 0) == sizeof(request)) {
    Reply reply;
    switch (request.order) {
      case Order::kDial:
        reply.dialled = do_dial(request.dial);
        break;
      case Order::kSend:
        reply.count = do_send(request.handle, request.bytes);
        break;
      case Order::kReceive:
        reply.count = do_receive(request.handle, request.bytes);
        break;
      case Order::kAbort:
        reset(Fd{request.handle});
        break;
      case Order::kClose:
        ::close(request.handle);
        break;
    }
    if (::send(control, &reply, sizeof(reply), MSG_NOSIGNAL) != sizeof(reply)) break;
  }
  ::_exit(0);
}

Reply ask(const Fd& control, const Request& request) {
  static_assert(std::is_trivially_copyable_v<Request> && std::is_trivially_copyable_v<Reply>);
  Reply reply;
  if (::send(control.get(), &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request) ||
      ::recv(control.get(), &reply, sizeof(reply), 0) != sizeof(reply))
    throw std::runtime_error{"the client process is gone"};
  return reply;
}

}  // namespace

Client::Client(const TestCgroup& cgroup, int netns, const std::string& comm) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    throw std::runtime_error{"socketpair"};
  control_ = Fd{ends[0]};
  Fd other{ends[1]};
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::prctl(PR_SET_NAME, comm.c_str());
    cgroup.join();
    if (netns >= 0 && ::setns(netns, CLONE_NEWNET) != 0) ::_exit(1);
    // Nothing of the parent's may stay open here: a copy of a listener's descriptor, or of a
    // program's link, would keep it alive. dup2 to itself would keep close-on-exec: no exec here.
    if (other.get() != 3) ::dup2(other.get(), 3);
    ::close_range(4, ~0U, 0);
    serve(3);
  }
}

Client::~Client() {
  control_.reset();
  ::waitpid(pid_, nullptr, 0);
}

Dialled Client::dial(const Dial& dial) {
  return ask(control_, Request{.order = Order::kDial, .dial = dial}).dialled;
}
std::size_t Client::send(int handle, std::size_t bytes) {
  return static_cast<std::size_t>(
      ask(control_, Request{.order = Order::kSend, .handle = handle, .bytes = bytes}).count);
}
long Client::receive(int handle, std::size_t bytes) {
  return ask(control_, Request{.order = Order::kReceive, .handle = handle, .bytes = bytes}).count;
}
void Client::close(int handle) {
  ask(control_, Request{.order = Order::kClose, .handle = handle});
}
void Client::abort(int handle) {
  ask(control_, Request{.order = Order::kAbort, .handle = handle});
}

}  // namespace holdfast::kernel::testing
