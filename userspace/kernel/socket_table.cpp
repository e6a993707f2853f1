#include "holdfast/kernel/socket_table.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <set>

#include "kernel/enter_netns.h"

namespace holdfast::kernel {

namespace {

// The numbers of include/net/tcp_states.h, which no UAPI header has.
constexpr std::uint8_t kEstablished = 1;
constexpr std::uint8_t kSynSent = 2;
// Not in the UAPI headers of Debian 11; the kernel sends what it knows.
constexpr std::uint16_t kAttributeMark = 15;      // INET_DIAG_MARK
constexpr std::uint16_t kAttributeCgroupId = 21;  // INET_DIAG_CGROUP_ID, Linux 5.9

static_assert(sizeof(inet_diag_sockid) == sizeof(TcpSocket::id));

struct Request {
  nlmsghdr header{};
  inet_diag_req_v2 diag{};
};

Request request_of(std::uint16_t type, std::uint16_t flags, std::uint8_t family) {
  Request request;
  request.header.nlmsg_len = sizeof(Request);
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = static_cast<__u16>(NLM_F_REQUEST | flags);
  request.diag.sdiag_family = family;
  request.diag.sdiag_protocol = IPPROTO_TCP;
  return request;
}

Endpoint endpoint_of(std::uint8_t family, const __be32* address, __be16 port) {
  if (family == AF_INET) return Endpoint::v4(ntohl(address[0]), ntohs(port));
  Endpoint out{.address = {}, .port = ntohs(port)};
  std::memcpy(out.address.data(), address, out.address.size());
  return out;
}

TcpSocket socket_of(const nlmsghdr& message) {
  inet_diag_msg diag{};
  std::memcpy(&diag, NLMSG_DATA(&message), sizeof(diag));
  TcpSocket out{.local = endpoint_of(diag.idiag_family, diag.id.idiag_src, diag.id.idiag_sport),
                .remote = endpoint_of(diag.idiag_family, diag.id.idiag_dst, diag.id.idiag_dport),
                .connecting = diag.idiag_state == kSynSent,
                .inode = diag.idiag_inode,
                .family = diag.idiag_family};
  std::memcpy(out.id.data(), &diag.id, sizeof(diag.id));
  const auto* at = reinterpret_cast<const std::byte*>(&message) + NLMSG_SPACE(sizeof(diag));
  const auto* end = reinterpret_cast<const std::byte*>(&message) + message.nlmsg_len;
  while (at + sizeof(nlattr) <= end) {
    nlattr attribute{};
    std::memcpy(&attribute, at, sizeof(attribute));
    if (attribute.nla_len < sizeof(attribute) || at + attribute.nla_len > end) break;
    const std::size_t size = attribute.nla_len - sizeof(attribute);
    const auto* value = at + sizeof(attribute);
    if (attribute.nla_type == kAttributeMark && size == sizeof(out.mark))
      std::memcpy(&out.mark, value, size);
    if (attribute.nla_type == kAttributeCgroupId && size == sizeof(out.cgroup_id))
      std::memcpy(&out.cgroup_id, value, size);
    at += NLA_ALIGN(attribute.nla_len);
  }
  return out;
}

/// The errno of an NLMSG_ERROR, 0 for an acknowledgement.
int outcome_of(const nlmsghdr& message) {
  nlmsgerr outcome{};
  if (message.nlmsg_len < NLMSG_LENGTH(sizeof(outcome.error))) return EPROTO;
  std::memcpy(&outcome.error, NLMSG_DATA(&message), sizeof(outcome.error));
  return -outcome.error;
}

Error error_of(int number, const char* what) {
  if (number == ENOENT) return make_error(Errc::kNotFound, what);
  if (number == EOPNOTSUPP)
    return make_error(Errc::kUnsupported,
                      "this kernel can't reset the sockets of others "
                      "(CONFIG_INET_DIAG_DESTROY)");
  errno = number;
  return Error::from_errno(what);
}

/// Receives until `take` says that it was the last message.
template <class Take>
Result<> receive(int socket, Take take) {
  alignas(nlmsghdr) std::array<std::byte, 32768> answer{};
  for (;;) {
    const ssize_t size = ::recv(socket, answer.data(), answer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Error::from_errno("no answer from NETLINK_SOCK_DIAG");
    auto left = static_cast<unsigned>(size);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(answer.data());
         NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
      std::optional<Result<>> last = take(*message);
      if (last) return *last;
    }
  }
}

}  // namespace

Result<SocketTable> SocketTable::open(int netns) {
  Fd socket;
  Result<> opened;
  // A netlink socket stays in the namespace that it was made in.
  const auto make = [&] {
    socket.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!socket) opened = Error::from_errno("cannot open a NETLINK_SOCK_DIAG socket");
  };
  if (netns < 0) {
    make();
  } else if (auto entered = in_netns(netns, make); !entered) {
    return entered.error();
  }
  if (!opened) return opened.error();
  const timeval limit{.tv_sec = 2, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  return SocketTable{std::move(socket)};
}

Result<> SocketTable::dump(std::uint8_t family, std::uint16_t port,
                           std::span<const Endpoint> remotes, std::vector<TcpSocket>& out) {
  Request request = request_of(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family);
  request.diag.idiag_states = (1U << kEstablished) | (1U << kSynSent);
  request.diag.id.idiag_dport = htons(port);  // the kernel narrows by this much
  if (::send(socket_.get(), &request, sizeof(request), 0) < 0)
    return Error::from_errno("cannot send to NETLINK_SOCK_DIAG");
  return receive(socket_.get(), [&](const nlmsghdr& message) -> std::optional<Result<>> {
    if (message.nlmsg_type == NLMSG_DONE) return Result<>{};
    if (message.nlmsg_type == NLMSG_ERROR) {
      const int number = outcome_of(message);
      // A kernel without IPv6 has no such sockets.
      if (number == 0 || number == ENOENT) return Result<>{};
      return error_of(number, "cannot list TCP sockets");
    }
    if (message.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
        message.nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg)))
      return std::nullopt;
    auto socket = socket_of(message);
    if (std::ranges::find(remotes, socket.remote) != remotes.end())
      out.push_back(std::move(socket));
    return std::nullopt;
  });
}

Result<std::vector<TcpSocket>> SocketTable::connected_to(std::span<const Endpoint> remotes) {
  std::set<std::uint16_t> ports;
  for (const auto& remote : remotes) ports.insert(remote.port);
  std::vector<TcpSocket> out;
  for (const auto port : ports) {
    for (const std::uint8_t family : {AF_INET, AF_INET6}) {
      if (auto listed = dump(family, port, remotes, out); !listed) return listed.error();
    }
  }
  return out;
}

Result<> SocketTable::reset(const TcpSocket& socket) {
  Request request = request_of(SOCK_DESTROY, NLM_F_ACK, socket.family);
  std::memcpy(&request.diag.id, socket.id.data(), sizeof(request.diag.id));
  if (::send(socket_.get(), &request, sizeof(request), 0) < 0)
    return Error::from_errno("cannot send to NETLINK_SOCK_DIAG");
  return receive(socket_.get(), [](const nlmsghdr& message) -> std::optional<Result<>> {
    if (message.nlmsg_type != NLMSG_ERROR) return std::nullopt;
    const int number = outcome_of(message);
    if (number == 0) return Result<>{};
    return error_of(number, "cannot reset a socket");
  });
}

}  // namespace holdfast::kernel
