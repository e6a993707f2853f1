#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/http/message.h"

namespace holdfast::http {

/// Hop-by-hop fields (RFC 9110 §7.6.1): they speak of one connection and go no further.
bool is_hop_by_hop(std::string_view lower_name);
/// Removes them and those that `Connection` names.
void strip_hop_by_hop(Headers& headers);
/// Whether a comma-separated list holds `token` (which is lower-case), in any case.
bool list_has_token(std::string_view list, std::string_view token);
/// A name or value that can be written without ending its line: no CR, LF or NUL.
bool is_safe(std::string_view text);
/// A lower-case field name (RFC 9113 §8.2.1).
bool is_field_name(std::string_view name);
/// `Content-Length`, when there is one that is a plain number.
std::optional<std::uint64_t> content_length(const Headers& headers);
/// A response to `method` with `status` never has a body (RFC 9110 §6.4.1).
bool is_bodiless(std::string_view method, unsigned status);

/// An answer of the session's own: a Kubernetes `Status`, which every client can print.
struct StatusAnswer {
  ResponseHead head;
  std::string body;
};
StatusAnswer status_answer(unsigned code, std::string_view reason, std::string_view message);

}  // namespace holdfast::http
