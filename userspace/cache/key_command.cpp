#include "cache/key_command.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "holdfast/base/fd.h"

namespace holdfast::cache {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxOutput = 4096;  // bytes

/// What it printed; nothing when it is late or prints too much.
std::optional<std::string> read_all(int fd, Clock::time_point limit) {
  std::string out;
  std::array<char, 1024> block;
  while (out.size() <= kMaxOutput) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - Clock::now()).count();
    if (left <= 0) return std::nullopt;
    pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
    const int polled = ::poll(&ready, 1, static_cast<int>(left));
    if (polled == 0 || (polled < 0 && errno == EINTR)) continue;
    const auto got = ::read(fd, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return out;
    out.append(block.data(), static_cast<std::size_t>(got));
  }
  return std::nullopt;
}

/// The exit status, or nothing when it had to be killed.
std::optional<int> wait_for(pid_t child, Clock::time_point limit) {
  int status = 0;
  while (Clock::now() < limit) {
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) return status;
    if (ended < 0 && errno != EINTR) return std::nullopt;
    ::usleep(5'000);
  }
  // The whole group: a shell's own children hold the pipe open.
  ::kill(-child, SIGKILL);
  ::waitpid(child, &status, 0);
  return std::nullopt;
}

std::string from_hex(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
    out.push_back(static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1])));
  }
  return out;
}

std::string from_base64(std::string_view text) {
  std::string out(text.size(), '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  out.resize(size == 33 ? 32 : 0);  // 44 characters, one of them padding
  return out;
}

}  // namespace

std::optional<std::string> parse_key(std::string_view text) {
  constexpr std::size_t kKeyBytes = 32;
  if (text.size() == kKeyBytes) return std::string{text};
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  const auto is_hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
  std::string key;
  if (text.size() == 2 * kKeyBytes && std::ranges::all_of(text, is_hex)) key = from_hex(text);
  if (text.size() == 44 && text.back() == '=') key = from_base64(text);
  if (key.size() != kKeyBytes) return std::nullopt;
  return key;
}

Result<std::string> key_from_command(const std::string& command, std::chrono::milliseconds limit) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error::from_errno("cache.key");
  const Fd reader{ends[0]};
  Fd writer{ends[1]};
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, writer.get(), STDOUT_FILENO);
  // What it says there may hold anything: it is no part of our log.
  ::posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(
      &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  std::string shell = "/bin/sh", flag = "-c", text = command;
  char* argv[] = {shell.data(), flag.data(), text.data(), nullptr};
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, shell.c_str(), &files, &attributes, argv, environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  if (failed != 0)
    return Error{boost::system::error_code{failed, boost::system::system_category()}, "cache.key"};
  writer = Fd{};
  const auto until = Clock::now() + limit;
  auto printed = read_all(reader.get(), until);
  const auto status = wait_for(child, printed ? until : Clock::now());
  if (!printed || !status)
    return make_error(Errc::kTimeout, "cache.key: the command took too long or printed too much");
  std::optional<std::string> key;
  if (WIFEXITED(*status) && WEXITSTATUS(*status) == 0) key = parse_key(*printed);
  OPENSSL_cleanse(printed->data(), printed->size());
  if (!WIFEXITED(*status) || WEXITSTATUS(*status) != 0)
    return make_error(Errc::kUnavailable, "cache.key: the command failed");
  if (!key)
    return make_error(Errc::kUnavailable,
                      "cache.key: the command must print 32 bytes, as they are, in hex or base64");
  return std::move(*key);
}

}  // namespace holdfast::cache
