#include "holdfast/tls/client_hello.h"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace holdfast::tls {
namespace {

constexpr std::size_t kRecordHeader = 5;
constexpr std::size_t kMaxRecord = 1 << 14;  // RFC 8446 §5.1, plaintext
constexpr std::size_t kMaxHello = 64 * 1024;
// A hello cut into records of a few bytes each is mostly headers: bound those, too.
constexpr std::size_t kMaxStream = 2 * kMaxHello;
constexpr std::uint8_t kHandshakeRecord = 22;
constexpr std::uint8_t kClientHelloMessage = 1;
constexpr std::uint16_t kServerNameExtension = 0;
constexpr std::uint16_t kAlpnExtension = 16;
constexpr std::uint8_t kHostName = 0;

std::uint8_t byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

/// Reads big-endian numbers and length-prefixed vectors; once it ran short it stays failed.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_{bytes} {}

  std::size_t number(std::size_t width) {
    const auto bytes = take(width);
    std::size_t value = 0;
    for (const char c : bytes) value = value << 8 | static_cast<std::uint8_t>(c);
    return value;
  }
  /// A vector whose length is written in `width` bytes before it.
  std::string_view vector(std::size_t width) { return take(number(width)); }
  std::string_view take(std::size_t count) {
    if (!ok_ || count > rest_.size()) {
      ok_ = false;
      return {};
    }
    const auto part = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return part;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  /// True while there is more to read and nothing went wrong.
  [[nodiscard]] bool more() const { return ok_ && !rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

bool read_server_name(std::string_view body, ClientHello& hello) {
  Reader outer{body};
  Reader list{outer.vector(2)};
  if (!outer.ok() || !outer.empty() || list.empty()) return false;
  while (list.more()) {
    const auto type = list.number(1);
    const auto name = list.vector(2);
    if (!list.ok()) return false;
    if (type != kHostName) continue;
    // RFC 6066 §3: not more than one name of a type, and never an empty one.
    if (name.empty() || !hello.server_name.empty()) return false;
    hello.server_name.resize(name.size());
    std::ranges::transform(name, hello.server_name.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
  }
  return list.ok();
}

bool read_alpn(std::string_view body, ClientHello& hello) {
  Reader outer{body};
  Reader list{outer.vector(2)};
  if (!outer.ok() || !outer.empty() || list.empty()) return false;
  while (list.more()) {
    const auto name = list.vector(1);
    if (!list.ok() || name.empty()) return false;
    hello.alpn.emplace_back(name);
  }
  return list.ok();
}

bool read_extensions(std::string_view bytes, ClientHello& hello) {
  bool seen_name = false;
  bool seen_alpn = false;
  Reader list{bytes};
  while (list.more()) {
    const auto type = list.number(2);
    const auto body = list.vector(2);
    if (!list.ok()) return false;
    if (type == kServerNameExtension) {
      if (seen_name || !read_server_name(body, hello)) return false;
      seen_name = true;
    } else if (type == kAlpnExtension) {
      if (seen_alpn || !read_alpn(body, hello)) return false;
      seen_alpn = true;
    }
  }
  return list.ok();
}

/// The body of a ClientHello, RFC 8446 §4.1.2.
std::optional<ClientHello> read_hello(std::string_view body) {
  Reader reader{body};
  const auto version = reader.number(2);
  reader.take(32);  // random
  const auto session = reader.vector(1);
  const auto ciphers = reader.vector(2);
  const auto compression = reader.vector(1);
  if (!reader.ok() || version >> 8 != 3 || session.size() > 32 || ciphers.empty() ||
      ciphers.size() % 2 != 0 || compression.empty()) {
    return std::nullopt;
  }
  ClientHello hello;
  if (reader.empty()) return hello;  // TLS 1.0 clients may have no extensions at all
  const auto extensions = reader.vector(2);
  if (!reader.ok() || !reader.empty() || !read_extensions(extensions, hello)) return std::nullopt;
  return hello;
}

PeekResult verdict(PeekStatus status) {
  return {.status = status, .need = 0, .hello = {}};
}

PeekResult need(std::size_t bytes) {
  if (bytes > kMaxStream) return verdict(PeekStatus::kMalformed);
  return {.status = PeekStatus::kNeedMore, .need = bytes, .hello = {}};
}

}  // namespace

PeekResult parse_client_hello(std::string_view bytes) {
  // Judge as soon as the bytes can: a client of another protocol may wait for its server to speak.
  if (!bytes.empty() && byte_at(bytes, 0) != kHandshakeRecord) return verdict(PeekStatus::kNotTls);
  if (bytes.size() > 1 && byte_at(bytes, 1) != 3) return verdict(PeekStatus::kNotTls);

  std::string message;
  for (std::size_t at = 0;;) {
    if (bytes.size() < at + kRecordHeader) return need(at + kRecordHeader);
    if (byte_at(bytes, at) != kHandshakeRecord || byte_at(bytes, at + 1) != 3) {
      return verdict(PeekStatus::kMalformed);
    }
    const std::size_t length =
        static_cast<std::size_t>(byte_at(bytes, at + 3)) << 8 | byte_at(bytes, at + 4);
    // RFC 8446 §5.1: no empty handshake fragments.
    if (length == 0 || length > kMaxRecord) return verdict(PeekStatus::kMalformed);
    at += kRecordHeader;
    message += bytes.substr(at, length);
    if (!message.empty() && byte_at(message, 0) != kClientHelloMessage) {
      return verdict(PeekStatus::kMalformed);
    }
    if (message.size() >= 4) {
      Reader header{std::string_view{message}.substr(1)};
      const auto size = header.number(3);
      if (size > kMaxHello) return verdict(PeekStatus::kMalformed);
      if (message.size() >= 4 + size) {
        auto hello = read_hello(std::string_view{message}.substr(4, size));
        if (!hello) return verdict(PeekStatus::kMalformed);
        return {.status = PeekStatus::kHello, .need = at + length, .hello = std::move(*hello)};
      }
    }
    if (bytes.size() < at + length) return need(at + length);
    at += length;
  }
}

}  // namespace holdfast::tls
