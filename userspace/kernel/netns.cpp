#include "holdfast/kernel/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
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

namespace {

/// Which file a path leads to. Namespaces have a file system of their own, whose inodes number
/// them.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};

std::optional<FileId> file_id(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return FileId{.device = info.st_dev, .inode = info.st_ino};
}

std::string path_of(const std::string& process) {
  return "/proc/" + process + "/ns/net";
}

/// `what` is for messages.
Result<Netns> open_path(const std::string& path, NetnsCookie expected, const std::string& what) {
  Netns netns{.fd = Fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)}, .cookie = expected};
  if (!netns.fd) {
    if (errno == ENOENT || errno == ESRCH) return make_error(Errc::kNotFound, what + " is gone");
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
    return make_error(Errc::kNotFound, what + " is in another network namespace");
  return netns;
}

}  // namespace

Result<Netns> open_netns(pid_t pid, NetnsCookie expected) {
  return open_path(path_of(std::to_string(pid)), expected, "process " + std::to_string(pid));
}

std::uint64_t netns_inode(pid_t pid) {
  const auto id = file_id(path_of(std::to_string(pid)));
  return id ? id->inode : 0;
}

Result<Netns> find_netns(std::uint64_t inode, NetnsCookie expected) {
  namespace fs = std::filesystem;
  const auto own = file_id(path_of("self"));
  if (!own) return Error::from_errno("cannot open /proc/self/ns/net");
  const FileId wanted{.device = own->device, .inode = inode};
  std::error_code ec;
  // Through the first process: an agent in a container has a /run of its own.
  for (const char* folder : {"/proc/1/root/run/netns", "/run/netns"}) {
    for (fs::directory_iterator it{folder, ec}, end; !ec && it != end; it.increment(ec)) {
      if (file_id(it->path()) != wanted) continue;
      if (auto netns = open_path(it->path(), expected, it->path())) return netns;
    }
  }
  for (fs::directory_iterator it{"/proc", ec}, end; !ec && it != end; it.increment(ec)) {
    const auto name = it->path().filename().string();
    if (!std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; })) continue;
    if (file_id(path_of(name)) != wanted) continue;
    if (auto netns = open_path(path_of(name), expected, "process " + name)) return netns;
  }
  return make_error(Errc::kNotFound, "nobody is in network namespace " + std::to_string(inode));
}

}  // namespace holdfast::kernel
