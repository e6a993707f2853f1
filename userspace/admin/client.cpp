#include "holdfast/admin/client.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <optional>

#include "admin/unix_listener.h"

namespace holdfast::admin {
namespace {

using std::chrono::milliseconds;
using Deadline = std::optional<std::chrono::steady_clock::time_point>;

constexpr std::size_t kMaxHeadBytes = 64 * 1024;
constexpr std::size_t kMaxBodyBytes = 64 * 1024 * 1024;
constexpr std::size_t kMaxLineBytes = 1024 * 1024;

/// Reads the server's answer, which ends with the connection.
class Reader {
 public:
  Reader(Fd fd, Deadline deadline) : fd_{std::move(fd)}, deadline_{deadline} {}

  Result<> send(std::string_view text) {
    while (!text.empty()) {
      const auto n = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Error::from_errno("cannot ask the agent");
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
  }

  /// More bytes behind `buffer`; false at the end.
  Result<bool> more(std::string& buffer) {
    pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    const int n = ::poll(&ready, 1, patience());
    if (n == 0) return make_error(Errc::kTimeout, "the agent does not answer");
    if (n < 0 && errno != EINTR) return Error::from_errno("cannot wait for the agent");
    if (n < 0) return true;
    char block[16 * 1024];
    const auto got = ::recv(fd_.get(), block, sizeof block, 0);
    if (got < 0 && errno == EINTR) return true;
    if (got < 0) return Error::from_errno("cannot read from the agent");
    buffer.append(block, static_cast<std::size_t>(got));
    return got != 0;
  }

  void wait_for_ever() { deadline_.reset(); }

 private:
  [[nodiscard]] int patience() const {
    if (!deadline_) return -1;
    const auto left =
        std::chrono::ceil<milliseconds>(*deadline_ - std::chrono::steady_clock::now());
    return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
  }
  Fd fd_;
  Deadline deadline_;
};

struct Head {
  int code = 0;
  std::string rest;  ///< what of the body came with it
  std::optional<std::size_t> length;
};

std::optional<std::size_t> content_length(std::string_view head) {
  // The server is our own: it writes the name this way.
  constexpr std::string_view kName = "\r\nContent-Length: ";
  const auto at = head.find(kName);
  if (at == std::string_view::npos) return std::nullopt;
  const auto digits = head.substr(at + kName.size());
  std::size_t length = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), length);
  return length;
}

Result<Head> read_head(Reader& reader) {
  std::string buffer;
  for (;;) {
    const auto end = buffer.find("\r\n\r\n");
    if (end != std::string::npos) {
      Head head;
      if (!buffer.starts_with("HTTP/1.1 ") ||
          std::from_chars(buffer.data() + 9, buffer.data() + 12, head.code).ec != std::errc{}) {
        break;
      }
      head.length = content_length(std::string_view{buffer}.substr(0, end + 2));
      head.rest = buffer.substr(end + 4);
      return head;
    }
    if (buffer.size() > kMaxHeadBytes) break;
    const auto more = reader.more(buffer);
    if (!more) return more.error();
    if (!*more) return make_error(Errc::kUnavailable, "the agent hung up");
  }
  return make_error(Errc::kProtocol, "that is not an agent's answer");
}

Result<std::string> read_body(Reader& reader, Head& head) {
  std::string body = std::move(head.rest);
  while (!head.length || body.size() < *head.length) {
    const auto more = reader.more(body);
    if (!more) return more.error();
    if (body.size() > kMaxBodyBytes) return make_error(Errc::kTooLarge, "the answer is too large");
    if (*more) continue;
    if (head.length && body.size() < *head.length) {
      return make_error(Errc::kUnavailable, "the agent hung up");
    }
    break;
  }
  return body;
}

Result<Reader> ask(const std::string& socket, const std::string& target, Deadline deadline,
                   std::string_view method = "GET") {
  auto fd = connect_unix(socket);
  if (!fd) {
    auto error = fd.error();
    const auto& code = error.code;
    if (code == boost::system::errc::no_such_file_or_directory ||
        code == boost::system::errc::connection_refused) {
      return make_error(Errc::kUnavailable, "no agent listens on " + socket);
    }
    return error;
  }
  Reader reader{std::move(*fd), deadline};
  std::string head = std::string{method} + " " + target + " HTTP/1.1\r\nHost: localhost\r\n";
  if (method == "POST") head += "Content-Length: 0\r\n";
  auto sent = reader.send(head + "Connection: close\r\n\r\n");
  if (!sent) return sent.error();
  return reader;
}

/// Hands whole lines out and leaves the last, incomplete one in `buffer`.
bool deliver_lines(std::string& buffer, const std::function<bool(std::string_view)>& on_line) {
  std::size_t start = 0;
  for (std::size_t end; (end = buffer.find('\n', start)) != std::string::npos; start = end + 1) {
    if (!on_line(std::string_view{buffer}.substr(start, end - start))) return false;
  }
  buffer.erase(0, start);
  return true;
}

}  // namespace

namespace {

Result<Reply> call(const std::string& socket, const std::string& target, std::string_view method,
                   milliseconds timeout) {
  auto reader = ask(socket, target, std::chrono::steady_clock::now() + timeout, method);
  if (!reader) return reader.error();
  auto head = read_head(*reader);
  if (!head) return head.error();
  auto body = read_body(*reader, *head);
  if (!body) return body.error();
  return Reply{head->code, std::move(*body)};
}

}  // namespace

Result<Reply> get(const std::string& socket, const std::string& target, milliseconds timeout) {
  return call(socket, target, "GET", timeout);
}

Result<Reply> post(const std::string& socket, const std::string& target, milliseconds timeout) {
  return call(socket, target, "POST", timeout);
}

Result<> follow(const std::string& socket, const std::string& target,
                const std::function<bool(std::string_view line)>& on_line,
                const std::function<void()>& on_open) {
  auto reader = ask(socket, target, std::chrono::steady_clock::now() + std::chrono::seconds{5});
  if (!reader) return reader.error();
  auto head = read_head(*reader);
  if (!head) return head.error();
  if (head->code != 200) {
    auto body = read_body(*reader, *head);
    return make_error(Errc::kRefused, body ? *body : std::to_string(head->code));
  }
  if (on_open) on_open();
  reader->wait_for_ever();
  std::string buffer = std::move(head->rest);
  for (;;) {
    if (!deliver_lines(buffer, on_line)) return {};
    if (buffer.size() > kMaxLineBytes) return make_error(Errc::kProtocol, "a line is too long");
    const auto more = reader->more(buffer);
    if (!more) return more.error();
    if (!*more) return {};
  }
}

}  // namespace holdfast::admin
