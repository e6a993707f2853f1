#include "upstream/group.h"

#include <algorithm>

namespace holdfast::upstream {
namespace {

/// One request each: watches alone are dozens.
constexpr std::size_t kMostHttp1 = 256;
/// Those that take no new requests included: they live as long as their watches, minutes.
constexpr std::size_t kMostOpen = 256;

}  // namespace

ConnectionPtr Group::pick() const {
  ConnectionPtr best;
  for (const auto& connection : connections) {
    if (connection->closed_by_us || connection->doubtful || !connection->http->usable()) continue;
    if (!best || connection->http->active() < best->http->active()) best = connection;
  }
  return best;
}

bool Group::wants_dial(const http::ClientLimits& limits, std::size_t most) const {
  const std::size_t each = http1 ? 1 : limits.max_streams;
  const auto leaving = static_cast<std::size_t>(
      std::count_if(connections.begin(), connections.end(), [](const ConnectionPtr& connection) {
        return connection->http2 && connection->http->going_away();
      }));
  const auto open = connections.size() + dialing;
  if (open >= kMostOpen || open - leaving >= (http1 ? kMostHttp1 : most)) return false;
  return waiting > dialing * each;
}

}  // namespace holdfast::upstream
