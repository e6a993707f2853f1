#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "holdfast/upstream/link_monitor.h"

namespace holdfast::upstream {

/// The rules of the link state, without threads: what happened goes in with its time, a transition
/// comes out when there is one.
class LinkMachine {
 public:
  using Time = SteadyClock::time_point;
  using WallTime = std::chrono::system_clock::time_point;

  LinkMachine(LinkOptions options, Time now);

  std::optional<LinkTransition> progress(std::size_t server, Time at, WallTime wall,
                                         LinkCause cause);
  std::optional<LinkTransition> connect_failed(std::size_t server, ConnectFailure failure,
                                               Time now);
  std::optional<LinkTransition> ping_failed(std::size_t server, Time now);
  std::optional<LinkTransition> patience_expired(Time now);
  std::optional<LinkTransition> late(std::size_t server, Time now);
  std::optional<LinkTransition> tick(Time now);
  void measured(std::size_t server, std::chrono::nanoseconds round_trip);
  void told_ready(std::size_t server, bool ready);
  void set_servers(std::size_t count);

  [[nodiscard]] ServerHealth health(std::size_t server) const;

  [[nodiscard]] const LinkSnapshot& snapshot() const { return snapshot_; }

 private:
  struct Server {
    std::optional<ConnectFailure> failure;  ///< since its last byte
    std::optional<Time> last_byte;
    std::chrono::nanoseconds srtt{0};
    bool unready = false;
  };

  std::optional<LinkTransition> failed(std::size_t server, ConnectFailure failure, LinkCause cause,
                                       Time now);
  /// Some server other than `except` was heard of lately, and nothing failed there since.
  [[nodiscard]] bool vouched(std::size_t except, Time now) const;
  std::optional<LinkTransition> enter(Link to, LinkCause cause, Time now);

  const LinkOptions options_;
  std::vector<Server> servers_;
  LinkSnapshot snapshot_;
  Time since_;  ///< of the present state
};

}  // namespace holdfast::upstream
