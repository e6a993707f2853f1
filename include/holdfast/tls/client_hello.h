#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::tls {

/// What a ClientHello says before anybody decided to answer it (RFC 8446 §4.1.2, RFC 6066 §3,
/// RFC 7301).
struct ClientHello {
  std::string server_name;        ///< SNI, lower-case; empty when an IP address was dialled
  std::vector<std::string> alpn;  ///< in the client's order
};

enum class PeekStatus : std::uint8_t {
  kNeedMore,  ///< `need` bytes in all are wanted
  kHello,
  kNotTls,     ///< splice: some other protocol
  kMalformed,  ///< a TLS record that is no ClientHello
};

struct PeekResult {
  PeekStatus status = PeekStatus::kNeedMore;
  std::size_t need = 5;  ///< bytes from the start of the stream
  ClientHello hello;
};

/// Pure; a hello that spans several records or TCP segments is put together.
/// Hellos above 64 KiB are kMalformed.
PeekResult parse_client_hello(std::string_view bytes);

}  // namespace holdfast::tls
