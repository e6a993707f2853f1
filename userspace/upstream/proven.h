#pragma once

#include <cstddef>
#include <memory>
#include <unordered_set>

#include "holdfast/http/client.h"

namespace holdfast::upstream {

/// Which credentials the API server took when they were last used. After each request that it can't
/// authenticate it sends a GOAWAY (feature gate UnauthenticatedHTTP2DOSMitigation), so requests
/// whose credential is not proven, or that have none, travel on connections of their own: one bad
/// token would take away everybody's. Decides about nothing else. One thread.
class Proven {
 public:
  /// Beyond, each has to prove itself anew.
  static constexpr std::size_t kMost = 4096;

  /// Of a request's Authorization header; 0: it has none. Two that share a number share
  /// connections, no more.
  static std::size_t credential_of(const http::RequestHead& head);
  [[nodiscard]] bool knows(std::size_t credential) const { return known_.contains(credential); }
  void answered(std::size_t credential, unsigned status);

 private:
  std::unordered_set<std::size_t> known_;
};

/// A stream that tells `proven` how its request's credential was received.
std::unique_ptr<http::ClientStream> noting(std::unique_ptr<http::ClientStream> stream,
                                           std::shared_ptr<Proven> proven, std::size_t credential);

}  // namespace holdfast::upstream
