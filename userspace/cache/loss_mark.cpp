#include "cache/loss_mark.h"

#include <fcntl.h>
#include <unistd.h>

namespace holdfast::cache {

Result<std::unique_ptr<LossMark>> LossMark::open(const std::filesystem::path& path) {
  Fd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!fd) return Error::from_errno(path.string());
  char mark = 0;
  if (::pread(fd.get(), &mark, 1, 0) < 1) {
    mark = '0';
    // A full disk at the very first start: the mark then works as far as the file system lets it.
    if (::pwrite(fd.get(), &mark, 1, 0) == 1) ::fsync(fd.get());
  }
  return std::unique_ptr<LossMark>{new LossMark{std::move(fd), mark == '1'}};
}

void LossMark::write(bool value) {
  if (set_ == value) return;
  const char mark = value ? '1' : '0';
  if (::pwrite(fd_.get(), &mark, 1, 0) == 1 && ::fdatasync(fd_.get()) == 0) set_ = value;
}

}  // namespace holdfast::cache
