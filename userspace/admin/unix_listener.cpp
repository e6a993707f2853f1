#include "admin/unix_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace holdfast::admin {
namespace {

namespace fs = std::filesystem;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return make_error(Errc::kInvalidArgument, path + ": not usable as a socket's path");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<Fd> make_socket() {
  Fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd) return Error::from_errno("cannot make a unix socket");
  return fd;
}

Result<> make_directory(const fs::path& directory) {
  std::error_code ec;
  if (directory.empty() || fs::is_directory(directory, ec)) return {};
  if (directory.has_parent_path()) fs::create_directories(directory.parent_path(), ec);
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error::from_errno("cannot make " + directory.string());
  }
  return {};
}

/// Removes a socket file that nobody listens on.
Result<> clear_stale(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) {
    if (errno == ENOENT) return {};
    return Error::from_errno("cannot look at " + path);
  }
  if (!S_ISSOCK(found.st_mode)) {
    return make_error(Errc::kExists, path + " is there and is not a socket; remove it");
  }
  if (const auto other = connect_unix(path)) {
    return make_error(Errc::kExists, "another agent listens on " + path);
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return Error::from_errno("cannot remove " + path);
  }
  return {};
}

}  // namespace

Result<Fd> connect_unix(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return address.error();
  auto fd = make_socket();
  if (!fd) return fd;
  if (::connect(fd->get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return Error::from_errno("cannot connect to " + path);
  }
  return fd;
}

Result<UnixListener> UnixListener::create(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return address.error();
  if (auto made = make_directory(fs::path{path}.parent_path()); !made) return made.error();
  if (auto cleared = clear_stale(path); !cleared) return cleared.error();
  auto fd = make_socket();
  if (!fd) return fd.error();
  if (::bind(fd->get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return Error::from_errno("cannot bind " + path);
  }
  // Nobody can connect before listen(), so there is no moment with wider permissions.
  struct stat made {};
  if (::chmod(path.c_str(), 0600) != 0 || ::stat(path.c_str(), &made) != 0 ||
      ::listen(fd->get(), 64) != 0) {
    auto error = Error::from_errno("cannot listen on " + path);
    ::unlink(path.c_str());
    return error;
  }
  return UnixListener{std::move(*fd), path, made.st_dev, made.st_ino};
}

UnixListener::~UnixListener() {
  if (path_.empty()) return;
  // Another agent may have put its own there meanwhile.
  struct stat found {};
  if (::stat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

}  // namespace holdfast::admin
