#include "tls/file_watch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string_view>

#include "holdfast/base/fd.h"

namespace holdfast::tls {
namespace {

/// Certificates and keys are small; more is not one.
constexpr std::size_t kMaxFile = 1 << 20;

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const auto n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno("writing " + path);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

FileWatch::Signature FileWatch::signature() const {
  struct stat info {};
  if (::stat(path_.c_str(), &info) != 0) return {-1};
  return {static_cast<std::int64_t>(info.st_ino), info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
          info.st_size, info.st_ctim.tv_sec * 1'000'000'000 + info.st_ctim.tv_nsec};
}

bool FileWatch::changed() const {
  return signature() != seen_;
}

Result<std::string> FileWatch::read() {
  // Taken before the bytes: a write in between shows as a change next time.
  seen_ = signature();
  const Fd fd{::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!fd) return Error::from_errno(path_);
  std::string content;
  char buffer[8192];
  for (;;) {
    const auto n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno(path_);
    if (n == 0) return content;
    content.append(buffer, static_cast<std::size_t>(n));
    if (content.size() > kMaxFile) return make_error(Errc::kTooLarge, path_ + " is above 1 MiB");
  }
}

Result<PairFiles::Texts> PairFiles::read() {
  auto certificate = certificate_.read();
  if (!certificate) return std::move(certificate).error();
  const bool one_file = certificate_.path() == key_.path();
  if (one_file && certificate->find("-----BEGIN ") == std::string::npos) {
    if (auto seen = key_.read(); !seen) return std::move(seen).error();
    return inline_key_pair(*certificate, certificate_.path());
  }
  auto key = key_.read();
  if (!key) return std::move(key).error();
  return Texts{.certificate = std::move(*certificate), .key = std::move(*key)};
}

void PairFiles::retry() {
  certificate_.retry();
  key_.retry();
}

std::string PairFiles::names() const {
  return certificate_.path() == key_.path() ? key_.path()
                                            : certificate_.path() + " and " + key_.path();
}

Result<void> write_private_file(const std::string& path, const std::string& content) {
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

}  // namespace holdfast::tls
