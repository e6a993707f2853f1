#pragma once

#include <string>
#include <string_view>

#include "holdfast/admin/server.h"

namespace holdfast::admin {

/// Which of the two listeners a request came in on.
enum class Channel : std::uint8_t { kTcp, kUnix };

struct Answer {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  bool trace = false;  ///< follow with the event stream; `query` says which
  std::string query;
};

/// Pure but for what it asks `source`.
Answer route(Channel channel, std::string_view method, std::string_view target, Source& source);

/// Whether a request with this Host header may be answered on a loopback listener: an address or
/// "localhost". A page of someone else's that made its name point here (DNS rebinding) may not.
bool is_local_host_header(std::string_view host);

}  // namespace holdfast::admin
