#pragma once

#include <array>
#include <cstddef>
#include <mutex>

#include "holdfast/base/endpoint.h"

namespace holdfast::agent {

/// The addresses of the last connections that our listener accepted: how an admission check tells
/// that it reached us, and not a sidecar that pretends to be us. Thread-safe.
class RecentPeers {
 public:
  void add(const Endpoint& peer) {
    const std::scoped_lock lock{mutex_};
    peers_[next_++ % peers_.size()] = peer;
  }
  [[nodiscard]] bool contains(const Endpoint& peer) const {
    const std::scoped_lock lock{mutex_};
    for (const auto& known : peers_) {
      if (known == peer) return true;
    }
    return false;
  }

 private:
  mutable std::mutex mutex_;
  std::array<Endpoint, 2048> peers_{};
  std::size_t next_ = 0;
};

}  // namespace holdfast::agent
