#include "links.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#include "host.h"
#include "kernel/enter_netns.h"

namespace holdfast::kernel::testing {

namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error{what + ": " + std::strerror(errno)};
}

Fd control_socket() {
  return Fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
}

ifreq named(const std::string& name) {
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  return request;
}

sockaddr ipv4(const std::string& text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  ::inet_pton(AF_INET, text.c_str(), &address.sin_addr);
  sockaddr out{};
  std::memcpy(&out, &address, sizeof(out));
  return out;
}

void set_address(const std::string& name, const std::string& address,
                 const std::string& netmask = "255.255.255.0") {
  const Fd control = control_socket();
  ifreq request = named(name);
  request.ifr_addr = ipv4(address);
  if (::ioctl(control.get(), SIOCSIFADDR, &request) != 0) fail("address of " + name);
  request.ifr_netmask = ipv4(netmask);
  if (::ioctl(control.get(), SIOCSIFNETMASK, &request) != 0) fail("netmask of " + name);
}

void change_route(unsigned long operation, const std::string& destination, const std::string& mask,
                  const std::string& gateway) {
  const Fd control = control_socket();
  rtentry route{};
  route.rt_dst = ipv4(destination);
  route.rt_genmask = ipv4(mask);
  route.rt_gateway = ipv4(gateway);
  route.rt_flags = RTF_UP | RTF_GATEWAY;
  if (mask == "255.255.255.255") route.rt_flags |= RTF_HOST;
  if (::ioctl(control.get(), operation, &route) != 0) fail("route to " + destination);
}

/// Builds nested netlink attributes.
class Message {
 public:
  Message(unsigned short type, unsigned short flags) : bytes_(NLMSG_LENGTH(sizeof(ifinfomsg))) {
    header()->nlmsg_type = type;
    header()->nlmsg_flags = flags;
  }
  std::size_t begin(unsigned short type) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + RTA_LENGTH(0));
    attribute(at)->rta_type = type;
    return at;
  }
  void end(std::size_t at) {
    attribute(at)->rta_len = static_cast<unsigned short>(bytes_.size() - at);
    bytes_.resize(RTA_ALIGN(bytes_.size()));
  }
  void append(const void* data, std::size_t size) {
    const auto* from = static_cast<const char*>(data);
    bytes_.insert(bytes_.end(), from, from + size);
  }
  void put(unsigned short type, const void* data, std::size_t size) {
    const auto at = begin(type);
    append(data, size);
    end(at);
  }
  int transact() {
    header()->nlmsg_len = static_cast<unsigned>(bytes_.size());
    const Fd socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
    if (::send(socket.get(), bytes_.data(), bytes_.size(), 0) < 0) return errno;
    std::array<char, 4096> answer{};
    if (::recv(socket.get(), answer.data(), answer.size(), 0) < 0) return errno;
    nlmsgerr outcome{};
    std::memcpy(&outcome, answer.data() + NLMSG_HDRLEN, sizeof(outcome));
    return -outcome.error;
  }

 private:
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }
  rtattr* attribute(std::size_t at) { return reinterpret_cast<rtattr*>(bytes_.data() + at); }
  std::vector<char> bytes_;
};

int make_veth(const std::string& here, const std::string& there, int netns) {
  Message message{RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL};
  message.put(IFLA_IFNAME, here.c_str(), here.size() + 1);
  const auto info = message.begin(IFLA_LINKINFO);
  message.put(IFLA_INFO_KIND, "veth", 4);
  const auto data = message.begin(IFLA_INFO_DATA);
  const auto peer = message.begin(VETH_INFO_PEER);
  const ifinfomsg empty{};
  message.append(&empty, sizeof(empty));
  message.put(IFLA_IFNAME, there.c_str(), there.size() + 1);
  message.put(IFLA_NET_NS_FD, &netns, sizeof(netns));
  message.end(peer);
  message.end(data);
  message.end(info);
  return message.transact();
}

}  // namespace

void set_link_up(const std::string& name) {
  const Fd control = control_socket();
  ifreq request = named(name);
  if (::ioctl(control.get(), SIOCGIFFLAGS, &request) != 0) fail("flags of " + name);
  request.ifr_flags |= IFF_UP;
  if (::ioctl(control.get(), SIOCSIFFLAGS, &request) != 0) fail("flags of " + name);
}

namespace {
/// The kernel brings a link's queue to life a while after it was set up, and drops packets until
/// then: tries until the other end answers, if only with a refusal.
void wait_until_answered(const std::string& address) {
  const bool answered = eventually([&] {
    const Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(1);
    ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0 &&
        errno != EINPROGRESS)
      return errno == ECONNREFUSED;
    pollfd waiting{.fd = socket.get(), .events = POLLOUT, .revents = 0};
    constexpr int kOneTryMs = 100;
    return ::poll(&waiting, 1, kOneTryMs) == 1;
  });
  if (!answered) fail(address + " does not answer");
}
}  // namespace

void set_host_address(const std::string& name, const std::string& address) {
  set_address(name, address, "255.255.255.255");
}

TestNetns::TestNetns() {
  std::thread{[this] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    set_link_up("lo");
    fd_ = Fd{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  }}.join();
  if (!fd_) fail("new network namespace");
}

void TestNetns::enter(const std::function<void()>& work) const {
  // What is thrown there must be thrown here.
  std::exception_ptr thrown;
  const auto entered = in_netns(fd(), [&] {
    try {
      work();
    } catch (...) {
      thrown = std::current_exception();
    }
  });
  if (!entered) throw std::runtime_error{entered.error().to_string()};
  if (thrown) std::rethrow_exception(thrown);
}

TestPod::TestPod(int subnet, bool default_route) : subnet_{subnet} {
  const std::string here = "hf" + std::to_string(subnet);
  const std::string network = "198.18." + std::to_string(subnet);
  if (const int error = make_veth(here, "eth0", fd())) {
    errno = error;
    fail("veth");
  }
  set_address(here, network + ".1");
  set_link_up(here);
  enter([&] {
    set_address("eth0", address());
    set_link_up("eth0");
    wait_until_answered(network + ".1");
    if (default_route) change_route(SIOCADDRT, "0.0.0.0", "0.0.0.0", network + ".1");
  });
}

std::string TestPod::address() const {
  return "198.18." + std::to_string(subnet_) + ".2";
}

bool TestPod::supported() {
  static const bool works = [] {
    const TestNetns other;
    bool made = false;
    (void)in_netns(TestNetns{}.fd(), [&] { made = make_veth("probe", "eth0", other.fd()) == 0; });
    return made;
  }();
  return works;
}

void TestPod::route_listener_only() {
  const std::string gateway = "198.18." + std::to_string(subnet_) + ".1";
  enter([&] {
    change_route(SIOCDELRT, "0.0.0.0", "0.0.0.0", gateway);
    change_route(SIOCADDRT, "169.254.77.1", "255.255.255.255", gateway);
  });
}

}  // namespace holdfast::kernel::testing
