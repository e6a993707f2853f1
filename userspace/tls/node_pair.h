#pragma once

#include <optional>
#include <string>

#include "holdfast/base/endpoint.h"
#include "tls/file_watch.h"
#include "tls/mint.h"

namespace holdfast::tls {

/// The serving pair that a K3s agent has of its own (`serving-kubelet.crt|key`): the server's CA
/// signed it for localhost and 127.0.0.1, so the components of K3s, which dial its balancer on
/// 127.0.0.1:6444, trust it as it is. Without files it serves nothing.
class NodePair {
 public:
  explicit NodePair(PairFiles files) : files_{std::move(files)} { reload(); }

  /// The pair, for a loopback target whose address it has and while it is valid. Whether it leads
  /// to the root that the real server's chain leads to is for the caller to check.
  [[nodiscard]] std::optional<ServingPair> pair_for(const Endpoint& target, WallTime now) const;
  /// Rereads the files when they changed: K3s makes new ones at its start.
  void reload();
  [[nodiscard]] bool is(const std::optional<ServingPair>& pair) const {
    return pair_ && pair && *pair_ == *pair;
  }

 private:
  PairFiles files_;
  Complaint complaint_;
  std::optional<ServingPair> pair_;
};

}  // namespace holdfast::tls
