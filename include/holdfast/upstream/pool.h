#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/base/task.h"
#include "holdfast/http/client.h"
#include "holdfast/http/transport.h"
#include "holdfast/upstream/dialer.h"
#include "holdfast/upstream/identity.h"
#include "holdfast/upstream/link_monitor.h"

namespace holdfast::upstream {

/// The server that one client connection is served by: resourceVersions of two servers differ by
/// moments, so it changes only when that server fails. One per client connection; the pool fills
/// it.
struct StickyServer {
  std::optional<Server> server;
};

struct PoolOptions {
  std::vector<Server> servers;
  http::ClientLimits limits;
  std::chrono::milliseconds idle_timeout{90'000};   ///< a connection without streams is closed
  std::chrono::milliseconds ping_interval{10'000};  ///< ±20 %
  std::chrono::milliseconds suspect_interval{2'000};
  std::chrono::milliseconds ping_timeout{1'000};
  std::chrono::milliseconds backoff_min{200}, backoff_max{10'000};  ///< between failed connects
  std::chrono::milliseconds probe_min{1'000}, probe_max{10'000};    ///< between /readyz, offline
  /// To one server under one identity, not counting those that take no new requests (GOAWAY).
  std::size_t connections_per_key = 16;
  /// One pool of the process asks /readyz; the others only PING what they have open.
  bool prober = true;
  std::function<void()> on_request;  ///< told of each request that was started; may be empty
  std::chrono::milliseconds probe_answer{5'000};
  std::string probe_token;  ///< the agent's own; empty: anonymous (a 401 is an answer too)
  Identity probe_identity;  ///< the agent's own
};

struct PoolStats {
  std::uint64_t requests = 0, connections_opened = 0, connect_failures = 0, goaways = 0;
  std::size_t connections = 0, streams = 0;  ///< open now
};

/// Connections to the API servers, keyed by {server, client certificate or none}; those without one
/// apart by whether the API server is known to take their requests' token. Lives on one io_context;
/// one per thread.
///
/// No request is ever sent twice: another connection or server is tried only while nothing was
/// sent.
class Pool {
 public:
  /// `monitor` and `clock` outlive the pool.
  static std::unique_ptr<Pool> create(Executor executor, PoolOptions options,
                                      std::shared_ptr<LinkMonitor> monitor,
                                      std::unique_ptr<Dialer> dialer, const Clock& clock);
  virtual ~Pool() = default;  ///< after `shutdown`

  /// Starts a request. kUnavailable: no server could be reached and nothing was sent; the message
  /// says what failed last. May be cancelled: connects that are under way go on for others.
  /// `sticky` outlives the call.
  virtual Task<Result<std::unique_ptr<http::ClientStream>>> open(Identity identity,
                                                                 http::RequestHead head, bool end,
                                                                 StickyServer& sticky) = 0;
  /// A connection of its own that speaks HTTP/1.1, for Upgrade requests. Errors as `open`.
  virtual Task<Result<std::shared_ptr<http::Transport>>> dial_http1(Identity identity,
                                                                    StickyServer& sticky) = 0;

  /// A read waits too long for this server: it is PINGed at once, and the monitor is told.
  virtual void late(const StickyServer& sticky) = 0;

  /// PINGs, probes, closes what is idle, reports progress to the monitor, until cancelled. The
  /// owner runs it in its nursery.
  virtual Task<> run() = 0;
  /// One round of `run` at the clock's time; what it starts ends on its own.
  virtual void tick() = 0;
  /// Closes all connections and returns when nothing of the pool runs any more.
  virtual Task<> shutdown() = 0;

  /// New servers, or a new dialer (null: keep) after the CA changed. Connections to servers that
  /// are still listed stay unless the dialer changed; the others finish their streams.
  virtual void configure(PoolOptions options, std::unique_ptr<Dialer> dialer) = 0;
  [[nodiscard]] virtual PoolStats stats() const = 0;
};

}  // namespace holdfast::upstream
