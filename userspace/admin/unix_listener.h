#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include "holdfast/base/fd.h"
#include "holdfast/base/result.h"

namespace holdfast::admin {

/// A listening unix socket with mode 0600; its file goes with it. Move-only.
class UnixListener {
 public:
  /// Makes the directory (0700) when missing. A socket file without a listener is replaced; kExists
  /// when one answers; an error when something else is there.
  static Result<UnixListener> create(const std::string& path);
  UnixListener(UnixListener&& other) noexcept
      : fd_{std::move(other.fd_)},
        path_{std::exchange(other.path_, {})},
        device_{other.device_},
        inode_{other.inode_} {}
  UnixListener& operator=(UnixListener&&) = delete;
  ~UnixListener();

  /// Gives the descriptor up; the file stays this object's.
  [[nodiscard]] int release() { return fd_.release(); }

 private:
  UnixListener(Fd fd, std::string path, dev_t device, ino_t inode)
      : fd_{std::move(fd)}, path_{std::move(path)}, device_{device}, inode_{inode} {}
  Fd fd_;
  std::string path_;  ///< empty when moved from
  dev_t device_;
  ino_t inode_;
};

/// A connected socket; the error is that of connect(2).
Result<Fd> connect_unix(const std::string& path);

}  // namespace holdfast::admin
