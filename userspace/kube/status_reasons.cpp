#include "holdfast/kube/status_reasons.h"

#include <array>

namespace holdfast::kube {
namespace {

/// Go's %q for what can stand in a resource's name; anything beyond printable ASCII that is not
/// plain text is written as an escape.
std::string quote(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.append({'\\', c});
    } else if (byte < 0x20 || byte == 0x7f) {
      out.append({'\\', 'x', kHex[byte >> 4], kHex[byte & 15]});
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

Status bad_request(std::string message) {
  return {.code = 400, .reason = "BadRequest", .message = std::move(message)};
}

Status unauthorized() {
  return {.code = 401, .reason = "Unauthorized", .message = "Unauthorized"};
}

Status not_found(const GroupVersionResource& gvr, std::string_view name) {
  const auto resource = gvr.group.empty() ? gvr.resource : gvr.resource + "." + gvr.group;
  return {.code = 404,
          .reason = "NotFound",
          .message = resource + " " + quote(name) + " not found",
          .kind = gvr.resource,
          .name = std::string{name},
          .group = gvr.group};
}

Status expired(std::string message) {
  if (message.empty()) message = "The resourceVersion for the provided watch is too old.";
  return {.code = 410, .reason = "Expired", .message = std::move(message)};
}

Status unavailable(std::string message, std::uint32_t retry_after_seconds) {
  return {.code = 503,
          .reason = "ServiceUnavailable",
          .message = std::move(message),
          .retry_after_seconds = retry_after_seconds};
}

Status too_large_resource_version(ResourceVersion wanted, ResourceVersion current) {
  return {.code = 504,
          .reason = "Timeout",
          .message = "Timeout: Too large resource version: " + std::to_string(wanted) +
                     ", current: " + std::to_string(current),
          .retry_after_seconds = 1,
          .causes = {{.reason = "ResourceVersionTooLarge",
                      .message = "Too large resource version",
                      .field = {}}}};
}

}  // namespace holdfast::kube
