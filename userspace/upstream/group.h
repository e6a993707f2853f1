#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>

#include "holdfast/base/event.h"
#include "holdfast/http/client.h"
#include "holdfast/upstream/identity.h"
#include "upstream/servers.h"

namespace holdfast::upstream {

struct PooledConnection {
  std::shared_ptr<http::ClientConnection> http;
  bool http2 = false;
  bool closed_by_us = false;
  bool going_away = false;  ///< GOAWAY: its streams end, no new ones
  /// A PING waits too long: no new streams until a byte comes.
  bool doubtful = false;
  SteadyClock::time_point reported{};  ///< the last byte that the monitor knows of
  http::Upload upload;                 ///< as last looked at
  SteadyClock::time_point idle_since{};
  SteadyClock::time_point next_ping{};
  SteadyClock::time_point last_ping{};
  bool ping_waits = false;

  void close() {
    closed_by_us = true;
    http->close();
  }
};
using ConnectionPtr = std::shared_ptr<PooledConnection>;

/// The connections to one server under one identity, and those who wait for one.
struct Group {
  Group(Executor executor, ServerPtr s, Identity i)
      : server{std::move(s)}, identity{std::move(i)}, changed{executor} {}

  /// A connection on which a stream can be opened now, the least used; null: none.
  [[nodiscard]] ConnectionPtr pick() const;
  /// True when those who wait need one more connection than is being dialled.
  [[nodiscard]] bool wants_dial(const http::ClientLimits& limits, std::size_t most) const;
  [[nodiscard]] bool empty() const { return connections.empty() && dialing == 0 && waiting == 0; }

  const ServerPtr server;
  const Identity identity;
  std::list<ConnectionPtr> connections;
  std::size_t dialing = 0, waiting = 0;
  bool http1 = false;  ///< what the server spoke last: a connection carries one request
  std::uint64_t failed_dials = 0;
  Error last_error;
  Event changed;
};
using GroupPtr = std::shared_ptr<Group>;

/// Counts one who waits, as long as it lives.
class Waiting {
 public:
  explicit Waiting(GroupPtr group) : group_{std::move(group)} { ++group_->waiting; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() { --group_->waiting; }

 private:
  GroupPtr group_;
};

/// A dial under way, from the moment that it is decided. However it ends, those who wait learn it.
class DialAttempt {
 public:
  explicit DialAttempt(GroupPtr group) : group_{std::move(group)} { ++group_->dialing; }
  DialAttempt(const DialAttempt&) = delete;
  DialAttempt& operator=(const DialAttempt&) = delete;
  ~DialAttempt() { end(make_error(Errc::kUnavailable, "the connect was given up")); }

  void succeeded() { end(std::nullopt); }
  void failed(Error error) { end(std::move(error)); }

 private:
  void end(std::optional<Error> error) {
    if (ended_) return;
    ended_ = true;
    --group_->dialing;
    if (error) {
      ++group_->failed_dials;
      group_->last_error = std::move(*error);
    }
    group_->changed.notify_all();
  }
  GroupPtr group_;
  bool ended_ = false;
};

}  // namespace holdfast::upstream
