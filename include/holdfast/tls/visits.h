#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <utility>

#include "holdfast/base/endpoint.h"

namespace holdfast::tls {

/// Tells a client that refused our certificate by hanging up without a request (a key that is
/// pinned, and checked after the handshake) from one that had no use for this connection: of
/// several first requests at once, Go's HTTP/2 transport dials for each, and closes all connections
/// but one unused (addConnIfNeeded in golang.org/x/net/http2). So does every program with several
/// informers. Thread-safe. Knows only processes that are connected: it is as small as their number.
class Visits {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// A process and whom it calls.
  using Visitor = std::pair<pid_t, Endpoint>;

  /// One connection, from before its handshake, since others of the same process may end meanwhile.
  class Visit {
   public:
    Visit(Visits& visits, Visitor visitor, Time now);
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    ~Visit();

    /// A request came: this process trusts us. True for the first one.
    bool served(Time now);
    /// It hung up without a request. True when that means no: no other connection of this process
    /// is open, and none was served since this one began.
    [[nodiscard]] bool is_refusal() const;

   private:
    Visits& visits_;
    const Visitor visitor_;
    const Time began_;
    bool served_ = false;
  };

  [[nodiscard]] std::size_t size() const;

 private:
  struct Known {
    std::size_t open = 0;
    Time served{};  ///< when a connection that had a request was last open
  };
  mutable std::mutex mutex_;
  std::map<Visitor, Known> known_;
};

}  // namespace holdfast::tls
