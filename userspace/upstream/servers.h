#pragma once

#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "holdfast/base/task.h"
#include "holdfast/upstream/dialer.h"
#include "holdfast/upstream/link_monitor.h"

namespace holdfast::upstream {

/// What one pool knows of a server.
struct ServerState {
  static constexpr std::size_t kUnlisted = std::numeric_limits<std::size_t>::max();

  Server server;
  std::size_t index = kUnlisted;  ///< its number for the monitor
  unsigned failures = 0;          ///< connects that failed in a row
  SteadyClock::time_point not_before{};
  std::chrono::nanoseconds srtt{0};  ///< 0: not measured
  Error last_error;
  /// A connection to it broke, and since then nothing was heard of it.
  std::optional<SteadyClock::time_point> doubted;
  SteadyClock::time_point next_look{};  ///< when it is to be probed though nothing is amiss
};
using ServerPtr = std::shared_ptr<ServerState>;

/// The servers in the order of preference, with the backoff of those that fail.
class Servers {
 public:
  using Time = SteadyClock::time_point;
  using Duration = SteadyClock::duration;

  /// `monitor` tells what other threads found out; null: nothing. It outlives this.
  Servers(Duration backoff_min, Duration backoff_max, const LinkMonitor* monitor = nullptr)
      : backoff_min_{backoff_min}, backoff_max_{backoff_max}, monitor_{monitor} {}

  /// Keeps what is known of servers that stay.
  void replace(const std::vector<Server>& servers);
  [[nodiscard]] const std::vector<ServerPtr>& all() const { return servers_; }
  /// The one to be tried next: the sticky one, then the fastest (of several that are about as fast,
  /// the one listed first), then those not measured as listed, then those that fail and may be
  /// tried again. Null: all were tried, or back off.
  [[nodiscard]] ServerPtr next(const std::optional<Server>& sticky,
                               const std::vector<ServerPtr>& tried, Time now) const;
  /// Why there is none to be tried.
  [[nodiscard]] Error why_none() const;
  /// True when a request could go to another server than this one.
  [[nodiscard]] bool has_better_than(const ServerState& server) const;

  void failed(ServerState& server, Error error, Time now);
  void succeeded(ServerState& server) const;
  /// The link is back: nobody waits any longer.
  void forgive_all() const;
  static void measured(ServerState& server, std::chrono::nanoseconds round_trip);

  /// `interval` ± 20 %, so that nodes and connections do not march in step.
  Duration jittered(Duration interval);

 private:
  [[nodiscard]] bool fails(const ServerState& server) const;
  [[nodiscard]] std::chrono::nanoseconds round_trip(const ServerState& server) const;

  const Duration backoff_min_, backoff_max_;
  const LinkMonitor* const monitor_;
  std::vector<ServerPtr> servers_;
  std::minstd_rand random_{std::random_device{}()};
};

ConnectFailure classify(const Error& error);

}  // namespace holdfast::upstream
