#include "host.h"

#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "holdfast/kernel/features.h"
#include "kernel/cgroup.h"
#include "kernel/netlink.h"
#include "kernel/sockaddr.h"
#include "links.h"

namespace holdfast::kernel::testing {

namespace {
[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error{what + ": " + std::strerror(errno)};
}
}  // namespace

void become_host() {
  if (::unshare(CLONE_NEWNET) != 0) fail("unshare");
  set_link_up("lo");
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

TestCgroup::TestCgroup() {
  static std::atomic<int> count{0};
  path_ = find_cgroup2_root().value() + "/holdfast-test-" + std::to_string(::getpid()) + "-" +
          std::to_string(count++);
  if (::mkdir(path_.c_str(), 0755) != 0) fail("mkdir " + path_);
}

TestCgroup::TestCgroup(const TestCgroup& parent, const std::string& name)
    : path_{parent.path() + "/" + name} {
  if (::mkdir(path_.c_str(), 0755) != 0) fail("mkdir " + path_);
}

TestCgroup::~TestCgroup() {
  // A process that has just ended leaves its group a moment later.
  eventually([this] { return ::rmdir(path_.c_str()) == 0 || errno == ENOENT; });
}

CgroupId TestCgroup::id() const {
  return cgroup_id_of(path_).value();
}

void TestCgroup::join() const {
  std::ofstream out{path_ + "/cgroup.procs"};
  out << ::getpid() << std::flush;
  if (!out) fail("join " + path_);
}

Listener::Listener(const Endpoint& endpoint, int backlog) {
  const auto address = to_sockaddr(endpoint);
  socket_ = Fd{::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const int yes = 1;
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (::bind(socket_.get(), address.get(), address.length) != 0)
    fail("bind " + endpoint.to_string());
  if (::listen(socket_.get(), backlog) != 0) fail("listen");
  endpoint_ = local_endpoint(socket_.get());
}

bool Listener::has_connection(std::chrono::milliseconds limit) const {
  pollfd waiting{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&waiting, 1, static_cast<int>(limit.count())) == 1;
}

Fd Listener::accept(std::chrono::milliseconds limit) const {
  if (!has_connection(limit)) return Fd{};
  return Fd{::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
}

void reset(Fd socket) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

Endpoint any_port(const std::string& address) {
  return Endpoint::from_address(address, 0).value();
}

void add_address(const std::string& address) {
  const auto done = add_loopback_address(Endpoint::from_address(address, 0).value());
  if (!done && done.error().code != boost::system::errc::file_exists)
    throw std::runtime_error{done.error().to_string()};
}

}  // namespace holdfast::kernel::testing
