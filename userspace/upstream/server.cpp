#include <charconv>

#include "holdfast/upstream/dialer.h"

namespace holdfast::upstream {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0 || port > 65535) {
    return std::nullopt;
  }
  return static_cast<std::uint16_t>(port);
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == ':';
}

}  // namespace

Result<Server> Server::parse(std::string_view url) {
  const auto wrong = [url] {
    return make_error(Errc::kInvalidArgument,
                      "\"" + std::string{url} + "\" is not https://host:port");
  };
  constexpr std::string_view kScheme = "https://";
  if (!url.starts_with(kScheme)) return wrong();
  auto rest = url.substr(kScheme.size());
  rest = rest.substr(0, rest.find_first_of("/?#"));

  std::string_view host, port;
  if (rest.starts_with('[')) {
    const auto bracket = rest.find(']');
    if (bracket == std::string_view::npos) return wrong();
    host = rest.substr(1, bracket - 1);
    if (!Endpoint::from_address(host, 0)) return wrong();
    port = rest.substr(bracket + 1);
  } else {
    const auto colon = rest.find(':');
    host = rest.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon);
  }
  if (host.empty()) return wrong();
  for (const char c : host) {
    if (!is_host_character(c)) return wrong();
  }
  Server server{.host = std::string{host}, .port = 443};  // as every URL without a port
  if (!port.empty()) {
    if (port.front() != ':') return wrong();
    const auto number = parse_port(port.substr(1));
    if (!number) return wrong();
    server.port = *number;
  }
  return server;
}

std::string Server::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace holdfast::upstream
