#include "tls/file_watch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "holdfast/base/fd.h"

namespace holdfast::tls {
namespace {

/// Certificates and keys are small; more is not one.
constexpr std::size_t kMaxFile = 1 << 20;

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

}  // namespace holdfast::tls
