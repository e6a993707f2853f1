#include "kernel/netlink.h"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <span>

#include "holdfast/base/fd.h"

namespace holdfast::kernel {

namespace {

/// The mark: a route metric, which means nothing for a full-length address on `lo`.
constexpr __u32 kMetric = 0x484f4c44;  // "HOLD"

/// RFC 3549 framing: a request header, the address header, at most three attributes.
struct AddressRequest {
  nlmsghdr header{};
  ifaddrmsg address{};
  std::array<std::byte, 64> attributes{};
};

void append(AddressRequest& request, unsigned short type, std::span<const std::uint8_t> value) {
  const std::size_t at =
      NLMSG_ALIGN(request.header.nlmsg_len) - sizeof(nlmsghdr) - sizeof(ifaddrmsg);
  rtattr attribute{};
  attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(value.size()));
  attribute.rta_type = type;
  std::memcpy(request.attributes.data() + at, &attribute, sizeof(attribute));
  std::memcpy(request.attributes.data() + at + RTA_LENGTH(0), value.data(), value.size());
  request.header.nlmsg_len =
      static_cast<__u32>(NLMSG_ALIGN(request.header.nlmsg_len) + RTA_ALIGN(attribute.rta_len));
}

Result<Fd> open_netlink() {
  Fd socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
  if (!socket) return Error::from_errno("cannot open a netlink socket");
  const timeval limit{.tv_sec = 2, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  return socket;
}

/// Sends one request and returns what its acknowledgement says.
Result<> transact(AddressRequest& request) {
  const auto opened = open_netlink();
  if (!opened) return opened.error();
  const Fd& socket = *opened;
  if (::send(socket.get(), &request, request.header.nlmsg_len, 0) < 0)
    return Error::from_errno("cannot send to netlink");
  alignas(nlmsghdr) std::array<std::byte, 1024> answer{};
  const ssize_t size = ::recv(socket.get(), answer.data(), answer.size(), 0);
  if (size < 0) return Error::from_errno("no answer from netlink");
  nlmsghdr header{};
  nlmsgerr outcome{};
  if (static_cast<std::size_t>(size) < sizeof(header) + sizeof(outcome))
    return make_error(Errc::kProtocol, "short answer from netlink");
  std::memcpy(&header, answer.data(), sizeof(header));
  std::memcpy(&outcome, answer.data() + sizeof(header), sizeof(outcome));
  if (header.nlmsg_type != NLMSG_ERROR)
    return make_error(Errc::kProtocol, "unexpected answer from netlink");
  if (outcome.error == 0) return {};
  errno = -outcome.error;
  return Error::from_errno("the kernel refused to change an address of lo");
}

Result<> change(const Endpoint& endpoint, unsigned short type, unsigned short flags) {
  AddressRequest request;
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof(ifaddrmsg));
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = static_cast<__u16>(NLM_F_REQUEST | NLM_F_ACK | flags);
  request.address.ifa_index = ::if_nametoindex("lo");
  const bool is_v4 = endpoint.is_v4();
  request.address.ifa_family = is_v4 ? AF_INET : AF_INET6;
  // Without it the address cannot be bound until a work queue has found that lo needs no detection.
  if (!is_v4) request.address.ifa_flags = IFA_F_NODAD;
  request.address.ifa_prefixlen = is_v4 ? 32 : 128;
  // Link scope keeps the kernel from choosing it as the source of other connections.
  request.address.ifa_scope = is_v4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  const std::span<const std::uint8_t> all{endpoint.address};
  const auto bytes = is_v4 ? all.subspan(12) : all;
  append(request, IFA_LOCAL, bytes);
  if (is_v4) append(request, IFA_ADDRESS, bytes);
  std::array<std::uint8_t, sizeof(kMetric)> metric{};
  std::memcpy(metric.data(), &kMetric, sizeof(kMetric));
  append(request, IFA_RT_PRIORITY, metric);
  return transact(request);
}

/// Whether one message of a dump tells of `wanted`, marked.
bool tells_of(const nlmsghdr& message, const Endpoint& wanted) {
  const auto* about = static_cast<const ifaddrmsg*>(NLMSG_DATA(&message));
  const std::size_t length = wanted.is_v4() ? 4 : 16;
  bool same = false;
  bool marked = false;
  auto left = static_cast<unsigned>(IFA_PAYLOAD(&message));
  for (const rtattr* a = IFA_RTA(about); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
    const bool is_address = a->rta_type == IFA_LOCAL || a->rta_type == IFA_ADDRESS;
    if (is_address && RTA_PAYLOAD(a) == length)
      same = same || std::memcmp(RTA_DATA(a), wanted.address.data() + 16 - length, length) == 0;
    if (a->rta_type == IFA_RT_PRIORITY && RTA_PAYLOAD(a) == sizeof(kMetric))
      marked = std::memcmp(RTA_DATA(a), &kMetric, sizeof(kMetric)) == 0;
  }
  return same && marked;
}

}  // namespace

Result<bool> is_marked_loopback_address(const Endpoint& address) {
  struct {
    nlmsghdr header{};
    ifaddrmsg about{};
  } request;
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_GETADDR;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.about.ifa_family = address.is_v4() ? AF_INET : AF_INET6;
  const auto socket = open_netlink();
  if (!socket) return socket.error();
  if (::send(socket->get(), &request, sizeof(request), 0) < 0)
    return Error::from_errno("cannot send to netlink");
  bool found = false;
  alignas(nlmsghdr) std::array<std::byte, 32768> answer{};
  for (;;) {
    const ssize_t size = ::recv(socket->get(), answer.data(), answer.size(), 0);
    if (size < 0) return Error::from_errno("no answer from netlink");
    auto left = static_cast<unsigned>(size);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(answer.data());
         NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) return found;
      if (message->nlmsg_type == RTM_NEWADDR) found = found || tells_of(*message, address);
    }
    if (size == 0) return found;
  }
}

Result<> add_loopback_address(const Endpoint& address) {
  return change(address, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
}

Result<> remove_loopback_address(const Endpoint& address) {
  return change(address, RTM_DELADDR, 0);
}

}  // namespace holdfast::kernel
