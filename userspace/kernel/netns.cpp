#include "holdfast/kernel/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "kernel/enter_netns.h"

namespace holdfast::kernel {

namespace {

#ifndef SO_NETNS_COOKIE
constexpr int kSoNetnsCookie = 71;  // Linux 5.14
#else
constexpr int kSoNetnsCookie = SO_NETNS_COOKIE;
#endif

}  // namespace

Result<NetnsCookie> current_netns_cookie() {
  const Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket) return Error::from_errno("cannot open a socket");
  std::uint64_t cookie = 0;
  socklen_t length = sizeof(cookie);
  if (::getsockopt(socket.get(), SOL_SOCKET, kSoNetnsCookie, &cookie, &length) != 0) {
    if (errno == ENOPROTOOPT)
      return make_error(Errc::kUnsupported, "SO_NETNS_COOKIE needs Linux 5.14");
    return Error::from_errno("cannot read the namespace's cookie");
  }
  return NetnsCookie{cookie};
}

Result<> in_netns(int netns, const std::function<void()>& work) {
  Result<> outcome;
  // A thread of its own, which ends there: no other code ever runs in a foreign namespace.
  std::thread visitor{[&] {
    if (::setns(netns, CLONE_NEWNET) != 0) {
      outcome = Error::from_errno("cannot enter a network namespace (CAP_SYS_ADMIN?)");
      return;
    }
    work();
  }};
  visitor.join();
  return outcome;
}

Result<Netns> open_netns(pid_t pid, NetnsCookie expected) {
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/net";
  Netns netns{.fd = Fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)}, .cookie = expected};
  if (!netns.fd) {
    if (errno == ENOENT || errno == ESRCH)
      return make_error(Errc::kNotFound, "process " + std::to_string(pid) + " is gone");
    return Error::from_errno("cannot open " + path);
  }
  Result<NetnsCookie> actual = expected;
  if (auto entered = in_netns(netns.fd.get(), [&] { actual = current_netns_cookie(); }); !entered)
    return entered.error();
  if (!actual) {
    if (actual.error().code == make_error_code(Errc::kUnsupported)) return netns;
    return actual.error();
  }
  if (*actual != expected)
    return make_error(Errc::kNotFound,
                      "process " + std::to_string(pid) + " is in another network namespace");
  return netns;
}

}  // namespace holdfast::kernel
