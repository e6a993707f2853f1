#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "holdfast/admin/cache_query.h"
#include "holdfast/admin/client.h"
#include "holdfast/admin/status.h"
#include "holdfast/base/endpoint.h"
#include "holdfast/base/result.h"
#include "holdfast/base/task.h"
#include "holdfast/telemetry/broadcast.h"

namespace holdfast::admin {

/// Where the answers come from. Called on the admin thread: must be thread-safe and quick.
class Source {
 public:
  virtual ~Source() = default;
  virtual Status status() = 0;
  virtual Readiness ready() = 0;
  virtual std::string metrics() = 0;  ///< Prometheus text
  virtual telemetry::Broadcast& trace() = 0;
  /// JSON with 200, or a line that says why not.
  virtual Reply cache(const CacheQuery& query) = 0;
};

struct ServerOptions {
  Endpoint listen;     ///< port 0: a free one, see `Server::listening`
  std::string socket;  ///< path; its directory is made when missing (0700), the socket is 0600
  std::size_t max_connections = 64;  ///< on each of the two listeners; more are closed at once
  std::chrono::milliseconds timeout{5000};  ///< for a whole request head, and for each write
};

/// /metrics, /healthz, /readyz and / over TCP; the same, /v1/status and /v1/trace
/// (newline-separated JSON; query: kind, pod, namespace, process, verdict) and /v1/cache/ over the
/// unix socket. GET and HEAD only, but for a POST to /v1/cache/rm. Everything runs on the given
/// executor.
class Server {
 public:
  /// Binds both. A socket file that nobody answers on is replaced; kExists when another agent does.
  static Result<std::unique_ptr<Server>> create(Executor executor, ServerOptions options,
                                                Source& source);
  /// Removes the socket file.
  virtual ~Server() = default;

  /// Serves until `stop` or cancellation, and until the last connection ended.
  virtual Task<> run() = 0;
  /// Ends everything at once. On the executor's thread.
  virtual void stop() = 0;
  [[nodiscard]] virtual Endpoint listening() const = 0;
};

}  // namespace holdfast::admin
