#include "holdfast/config/reloader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "config/file.h"
#include "holdfast/base/fd.h"

namespace holdfast::config {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;

class RealFiles final : public FileView {
 public:
  std::optional<Stamp> stamp(const std::string& path) override {
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0) return std::nullopt;
    return Stamp{.device = found.st_dev,
                 .inode = found.st_ino,
                 .size = static_cast<std::uint64_t>(found.st_size),
                 .modified_ns = found.st_mtim.tv_sec * 1'000'000'000 + found.st_mtim.tv_nsec};
  }
  Result<std::string> read(const std::string& path) override { return read_text(path); }
};

}  // namespace

Result<std::string> read_text(const std::string& path) {
  // Non-blocking, so that a FIFO in the file's place cannot hang the agent.
  const Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!file) {
    if (errno == ENOENT) return make_error(Errc::kNotFound, path + ": no such file");
    return Error::from_errno("cannot open " + path);
  }
  std::string text;
  char block[16 * 1024];
  for (;;) {
    const ssize_t n = ::read(file.get(), block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno("cannot read " + path);
    if (n == 0) return text;
    text.append(block, static_cast<std::size_t>(n));
    if (text.size() > kMaxFileBytes) {
      return make_error(Errc::kTooLarge, path + " is larger than 1 MiB; expected a configuration");
    }
  }
}

FileView& real_files() {
  static RealFiles files;
  return files;
}

Reloader::Reloader(std::string path, Environment environment, OnChange on_change, FileView& files)
    : path_{std::move(path)},
      environment_{std::move(environment)},
      on_change_{std::move(on_change)},
      files_{files},
      taken_{files.stamp(path_)} {
  if (auto text = files_.read(path_)) text_ = std::move(*text);
}

void Reloader::poll() {
  const auto now = files_.stamp(path_);
  if (!pending_ && now == taken_) return;
  if (!pending_ || *pending_ != now) {
    pending_ = now;
    return;
  }
  pending_.reset();
  taken_ = now;
  auto text = files_.read(path_);
  if (!text) {
    text_.reset();
    return on_change_(text.error());
  }
  if (text_ == *text) return;
  text_ = std::move(*text);
  on_change_(parse(*text_, path_, environment_));
}

Task<> watch_file(Reloader& reloader, Executor executor, std::chrono::milliseconds interval) {
  Timer timer{executor};
  for (;;) {
    timer.expires_after(interval);
    co_await timer.async_wait(use_task);
    reloader.poll();
  }
}

}  // namespace holdfast::config
