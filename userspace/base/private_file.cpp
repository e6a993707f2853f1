#include "holdfast/base/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "holdfast/base/fd.h"

namespace holdfast {
namespace {

Result<void> write_all(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const auto put = ::write(fd, content.data(), content.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Error::from_errno("writing " + path);
    content.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace

Result<void> write_private_file(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".new";
  ::unlink(temporary.c_str());
  Fd fd{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!fd) return Error::from_errno("creating " + temporary);
  auto written = write_all(fd.get(), content, temporary);
  if (written && ::fsync(fd.get()) != 0) written = Error::from_errno("syncing " + temporary);
  fd.reset();
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) {
    written = Error::from_errno("renaming " + temporary);
  }
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  const auto directory = std::filesystem::path{path}.parent_path();
  const Fd parent{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!parent || ::fsync(parent.get()) != 0)
    return Error::from_errno("syncing " + directory.string());
  return {};
}

Result<std::string> read_private_file(const std::string& path, std::size_t limit) {
  const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (!fd && errno == ENOENT) return make_error(Errc::kNotFound, path);
  if (!fd) return Error::from_errno(path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return Error::from_errno(path);
  if (!S_ISREG(info.st_mode) || (info.st_mode & 077) != 0 || info.st_uid != ::geteuid()) {
    return make_error(Errc::kRefused, path + " must be a file of this user's own with mode 0600");
  }
  std::string content(limit + 1, '\0');
  std::size_t size = 0;
  while (size < content.size()) {
    const auto got = ::read(fd.get(), content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(path);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > limit) return make_error(Errc::kTooLarge, path + " is too large");
  content.resize(size);
  return content;
}

}  // namespace holdfast
