#include "holdfast/upstream/pool.h"

#include <algorithm>
#include <list>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "holdfast/base/deadline.h"
#include "holdfast/base/nursery.h"
#include "upstream/group.h"
#include "upstream/probe.h"
#include "upstream/proven.h"
#include "upstream/servers.h"

namespace holdfast::upstream {
namespace {

using namespace std::chrono_literals;
using Time = SteadyClock::time_point;

constexpr auto kTick = 250ms;
/// As long as client-go waits for its own PINGs before it drops a connection.
constexpr auto kDeadPing = 15s;
/// Bytes that wait for their acknowledgement.
constexpr std::size_t kLargeUpload = 16 * 1024;
constexpr std::size_t kMaxProbeBody = 64 * 1024;
/// The same while another server could take over: reads are asked there again.
constexpr auto kDeadPingElsewhere = 4s;
/// How often a server is looked at that nothing is known to be wrong with, if there are several:
/// shorter than the idle time, so that one connection to each stays and is PINGed.
constexpr auto kLook = 30s;
/// Of one request, over connections that turn out to take no more streams.
constexpr int kOpenAttempts = 4;

ProbePace::Intervals pace_of(const PoolOptions& options) {
  return {.online = options.ping_interval,
          .suspect = options.suspect_interval,
          .offline_min = options.probe_min,
          .offline_max = options.probe_max};
}

class PoolImpl final : public Pool {
 public:
  PoolImpl(Executor executor, PoolOptions options, std::shared_ptr<LinkMonitor> monitor,
           std::unique_ptr<Dialer> dialer, const Clock& clock)
      : executor_{executor},
        options_{std::move(options)},
        monitor_{std::move(monitor)},
        dialer_{std::move(dialer)},
        clock_{clock},
        servers_{options_.backoff_min, options_.backoff_max, monitor_.get()},
        pace_{pace_of(options_)},
        nursery_{executor} {
    servers_.replace(options_.servers);
  }

  Task<Result<std::unique_ptr<http::ClientStream>>> open(Identity identity, http::RequestHead head,
                                                         bool end, StickyServer& sticky) override;
  Task<Result<std::shared_ptr<http::Transport>>> dial_http1(Identity identity,
                                                            StickyServer& sticky) override;
  void late(const StickyServer& sticky) override;
  Task<> run() override;
  void tick() override;
  Task<> shutdown() override;
  void configure(PoolOptions options, std::unique_ptr<Dialer> dialer) override;
  PoolStats stats() const override;

 private:
  using StreamResult = Result<std::unique_ptr<http::ClientStream>>;
  /// The fingerprint is empty without a client certificate. Proven: see Proven; with a certificate
  /// always.
  using Key = std::tuple<const ServerState*, std::string, bool>;
  using KeyView = std::tuple<const ServerState*, std::string_view, bool>;
  struct KeyLess {
    using is_transparent = void;
    static const KeyView& view(const KeyView& key) { return key; }
    static KeyView view(const Key& key) {
      return {std::get<0>(key), std::get<1>(key), std::get<2>(key)};
    }
    bool operator()(const auto& a, const auto& b) const { return view(a) < view(b); }
  };

  GroupPtr group_of(const ServerPtr& server, const Identity& identity,
                    const http::RequestHead& head);
  /// `head` is the caller's, who waits.
  Task<StreamResult> open_at(ServerPtr server, Identity identity, const http::RequestHead* head,
                             bool end);
  Task<Result<ConnectionPtr>> acquire(GroupPtr group);
  Task<> dial(GroupPtr group, std::unique_ptr<DialAttempt> attempt);
  Task<> serve(GroupPtr group, ConnectionPtr connection);
  Task<> ping(GroupPtr group, ConnectionPtr connection);
  Task<> probe(ServerPtr server);
  [[nodiscard]] http::RequestHead probe_head(const ServerState& server) const;
  /// True when the connection that it used broke: an idle one may have been dead for long.
  Task<bool> ask_readyz(ServerPtr server);
  void unanswered(const ServerState& server, Time since);
  void dial_failed(ServerState& server, const Error& error);
  void check(const GroupPtr& group, const ConnectionPtr& connection, Time now);
  void check_ping(const GroupPtr& group, const ConnectionPtr& connection, Time now);
  void start_probes(Time now, Link state);
  void start_probe(const ServerPtr& server);

  const Executor executor_;
  PoolOptions options_;
  const std::shared_ptr<LinkMonitor> monitor_;
  std::shared_ptr<Dialer> dialer_;  ///< dials under way keep the one they began with
  const Clock& clock_;
  Servers servers_;
  ProbePace pace_;
  Link last_state_ = Link::kSuspect;
  std::map<Key, GroupPtr, KeyLess> groups_;
  std::list<GroupPtr> retired_;  ///< finish their streams
  const std::shared_ptr<Proven> proven_ = std::make_shared<Proven>();
  std::set<const ServerState*> probing_;
  PoolStats stats_;
  bool closing_ = false;
  Nursery nursery_;
};

GroupPtr PoolImpl::group_of(const ServerPtr& server, const Identity& identity,
                            const http::RequestHead& head) {
  const KeyView view{server.get(),
                     identity ? std::string_view{identity->fingerprint()} : std::string_view{},
                     identity || proven_->knows(Proven::credential_of(head))};
  auto it = groups_.find(view);
  if (it == groups_.end()) {
    it = groups_
             .emplace(Key{server.get(), std::string{std::get<1>(view)}, std::get<2>(view)},
                      std::make_shared<Group>(executor_, server, identity))
             .first;
  }
  return it->second;
}

Task<PoolImpl::StreamResult> PoolImpl::open(Identity identity, http::RequestHead head, bool end,
                                            StickyServer& sticky) {
  std::vector<ServerPtr> tried;
  Error last = servers_.why_none();
  while (const auto server = servers_.next(sticky.server, tried, clock_.now())) {
    auto stream = co_await open_at(server, identity, &head, end);
    if (stream) {
      sticky.server = server->server;
      ++stats_.requests;
      if (options_.on_request) options_.on_request();
      co_return stream;
    }
    // Anything but "nothing was sent" may have reached the server: it is not sent again.
    if (stream.error().code != make_error_code(Errc::kUnavailable)) co_return stream;
    last = stream.error();
    tried.push_back(server);
  }
  co_return make_error(Errc::kUnavailable, last.message);
}

Task<PoolImpl::StreamResult> PoolImpl::open_at(ServerPtr server, Identity identity,
                                               const http::RequestHead* head, bool end) {
  Error last = make_error(Errc::kUnavailable, server->server.authority());
  for (int attempt = 0; attempt < kOpenAttempts; ++attempt) {
    auto connection = co_await acquire(group_of(server, identity, *head));
    if (!connection) co_return make_error(Errc::kUnavailable, connection.error().to_string());
    auto stream = co_await (*connection)->http->open(*head, end);
    if (stream) {
      (*connection)->idle_since = clock_.now();
      const auto credential = identity ? 0 : Proven::credential_of(*head);
      if (credential == 0) co_return stream;
      co_return noting(std::move(*stream), proven_, credential);
    }
    last = stream.error();
    if (last.code != make_error_code(Errc::kUnavailable)) break;
  }
  co_return last;
}

Task<Result<ConnectionPtr>> PoolImpl::acquire(GroupPtr group) {
  if (auto connection = group->pick()) co_return connection;
  const auto failed_before = group->failed_dials;
  const Waiting waiting{group};
  while (true) {
    if (closing_) co_return make_error(Errc::kUnavailable, "shutting down");
    if (auto connection = group->pick()) co_return connection;
    if (group->failed_dials != failed_before) co_return group->last_error;
    if (group->wants_dial(options_.limits, options_.connections_per_key)) {
      nursery_.spawn("upstream connection", dial(group, std::make_unique<DialAttempt>(group)));
      continue;  // it may have ended at once
    }
    if (group->dialing == 0) {
      co_return make_error(Errc::kUnavailable,
                           "all streams to " + group->server->server.authority() + " are in use");
    }
    co_await group->changed.wait();
  }
}

// Dials for whoever waits, then serves the connection until it ends: the one who asked first may be
// gone by then.
Task<> PoolImpl::dial(GroupPtr group, std::unique_ptr<DialAttempt> attempt) {
  const auto dialer = dialer_;
  auto dialed =
      co_await dialer->dial(group->server->server, group->identity, Dialer::Protocol::kAny);
  if (!dialed) {
    dial_failed(*group->server, dialed.error());
    attempt->failed(dialed.error());
    co_return;
  }
  auto connection = std::make_shared<PooledConnection>();
  connection->http2 = dialed->alpn == "h2";
  connection->http = dialer->connection(std::move(*dialed), options_.limits);
  connection->reported = connection->http->last_received();  // a handshake is no answer yet
  connection->idle_since = clock_.now();
  connection->next_ping = clock_.now();  // at once: patience is reckoned from the round trip
  group->http1 = !connection->http2;
  group->connections.push_back(connection);
  servers_.succeeded(*group->server);
  ++stats_.connections_opened;
  attempt->succeeded();
  co_await serve(group, connection);
}

Task<> PoolImpl::serve(GroupPtr group, ConnectionPtr connection) {
  if (!closing_) co_await connection->http->run();
  group->connections.remove(connection);
  group->changed.notify_all();
  if (closing_ || connection->closed_by_us || connection->http->going_away()) co_return;
  // Not announced: ask before the link is suspected.
  if (!group->server->doubted) group->server->doubted = clock_.now();
  start_probe(group->server);
}

void PoolImpl::dial_failed(ServerState& server, const Error& error) {
  if (closing_ || error.code == make_error_code(Errc::kCancelled)) return;
  ++stats_.connect_failures;
  servers_.failed(server, error, clock_.now());
  monitor_->connect_failed(server.index, classify(error));
}

Task<Result<std::shared_ptr<http::Transport>>> PoolImpl::dial_http1(Identity identity,
                                                                    StickyServer& sticky) {
  const auto dialer = dialer_;
  std::vector<ServerPtr> tried;
  Error last = servers_.why_none();
  while (const auto server = servers_.next(sticky.server, tried, clock_.now())) {
    auto dialed = co_await dialer->dial(server->server, identity, Dialer::Protocol::kHttp11);
    if (dialed) {
      servers_.succeeded(*server);
      sticky.server = server->server;
      ++stats_.connections_opened;
      co_return std::move(dialed->transport);
    }
    dial_failed(*server, dialed.error());
    last = dialed.error();
    tried.push_back(server);
  }
  co_return make_error(Errc::kUnavailable, last.to_string());
}

void PoolImpl::late(const StickyServer& sticky) {
  std::size_t index = ServerState::kUnlisted;
  const auto now = clock_.now();
  for (const auto& [key, group] : groups_) {
    if (!sticky.server || group->server->server != *sticky.server) continue;
    index = group->server->index;
    for (const auto& connection : group->connections) {
      const bool lately = now - connection->last_ping < options_.suspect_interval;
      if (connection->http2 && !lately) connection->next_ping = now;
    }
  }
  monitor_->late(index);
}

Task<> PoolImpl::run() {
  Timer timer{executor_};
  while (!closing_) {
    tick();
    timer.expires_after(kTick);
    const auto [ec] = co_await timer.async_wait(use_result);
    if (ec) co_return;  // cancelled
  }
}

void PoolImpl::tick() {
  if (closing_) return;
  const auto now = clock_.now();
  const auto visit = [&](const GroupPtr& group) {
    const auto connections = group->connections;  // closing one may change the list
    for (const auto& connection : connections) check(group, connection, now);
  };
  for (const auto& [key, group] : groups_) visit(group);
  for (const auto& group : retired_) {
    visit(group);
    const auto connections = group->connections;
    for (const auto& connection : connections) {
      if (!connection->closed_by_us && connection->http->active() == 0) connection->close();
    }
  }
  std::erase_if(groups_, [](const auto& item) { return item.second->empty(); });
  std::erase_if(retired_, [](const auto& group) { return group->empty(); });

  monitor_->tick();
  const auto state = monitor_->state();
  if (state == Link::kOnline && last_state_ != Link::kOnline) servers_.forgive_all();
  last_state_ = state;
  start_probes(now, state);
}

void PoolImpl::check(const GroupPtr& group, const ConnectionPtr& connection, Time now) {
  auto& http = *connection->http;
  if (connection->closed_by_us) return;
  auto heard = http.last_received();
  // What is acknowledged of a large upload is the line's progress too. Of little it is none:
  // kernels acknowledge a PING also for a server that hangs.
  const auto upload = http.upload();
  const bool moves = upload.acknowledged > connection->upload.acknowledged;
  if (moves && connection->upload.waiting >= kLargeUpload) heard = now;
  connection->upload = upload;
  if (heard > connection->reported) {
    connection->reported = heard;
    group->server->doubted.reset();
    monitor_->progress(group->server->index, heard);
    if (connection->doubtful && heard > connection->last_ping) {
      connection->doubtful = false;
      group->changed.notify_all();
    }
  }
  const bool usable = http.usable();
  const auto active = http.active();
  if (active > 0) connection->idle_since = now;
  if (connection->http2 && http.going_away() && !connection->going_away) {
    ++stats_.goaways;
    connection->going_away = true;
  }
  if (active == 0 && (!usable || now - connection->idle_since >= options_.idle_timeout)) {
    connection->close();
    return;
  }
  if (connection->http2) check_ping(group, connection, now);
}

void PoolImpl::check_ping(const GroupPtr& group, const ConnectionPtr& connection, Time now) {
  if (connection->ping_waits) {
    // Late is only a PING during which nothing else came either: bulk data may be in its way.
    const auto since = std::max(connection->last_ping, connection->reported);
    const auto patience =
        std::max<SteadyClock::duration>(options_.ping_timeout, 4 * group->server->srtt);
    if (!connection->doubtful && now - since >= patience) {
      connection->doubtful = true;
      monitor_->ping_failed(group->server->index);
    }
    // To hold on helps nobody who could be served elsewhere.
    if (connection->doubtful && now - since >= kDeadPingElsewhere &&
        servers_.has_better_than(*group->server)) {
      servers_.failed(*group->server, make_error(Errc::kTimeout, "no answer to a PING"), now);
      connection->close();
    }
    return;
  }
  const bool hurry = monitor_->state() == Link::kSuspect &&
                     now - connection->last_ping >= options_.suspect_interval;
  if (!hurry && now < connection->next_ping) return;
  connection->ping_waits = true;
  connection->last_ping = now;
  connection->next_ping = now + servers_.jittered(options_.ping_interval);
  nursery_.spawn("upstream ping", ping(group, connection));
}

Task<> PoolImpl::ping(GroupPtr group, ConnectionPtr connection) {
  const auto answer = co_await connection->http->ping(kDeadPing);
  connection->ping_waits = false;
  if (answer) {
    connection->reported = std::max(connection->reported, connection->http->last_received());
    connection->doubtful = false;
    group->server->doubted.reset();
    Servers::measured(*group->server, *answer);
    monitor_->ping_ok(group->server->index, *answer);
    group->changed.notify_all();
  } else if (answer.error().code == make_error_code(Errc::kTimeout)) {
    // Behind bulk data on a slow line it may take its time: what still speaks is asked again.
    const auto heard = std::max(connection->reported, connection->http->last_received());
    if (heard <= connection->last_ping) connection->close();
  }
}

void PoolImpl::start_probes(Time now, Link state) {
  bool vouched = false;
  for (const auto& [key, group] : groups_) {
    vouched = vouched || std::any_of(group->connections.begin(), group->connections.end(),
                                     [](const auto& c) { return c->http2 && !c->doubtful; });
  }
  const bool round = options_.prober && pace_.due(state, vouched, now);
  for (const auto& server : servers_.all()) {
    // While others serve, nobody else would find out that a server is well again.
    const bool back = state == Link::kOnline && server->failures > 0 && now >= server->not_before;
    // One that serves nobody is measured all the same: it may be the faster one, or be needed.
    const bool look = options_.prober && state == Link::kOnline && servers_.all().size() > 1 &&
                      now >= server->next_look;
    if (look) server->next_look = now + servers_.jittered(kLook);
    if (round || back || look) start_probe(server);
    if (server->doubted && now - *server->doubted >= options_.ping_timeout) {
      server->doubted.reset();
      monitor_->connect_failed(server->index, ConnectFailure::kReset);
    }
  }
}

void PoolImpl::start_probe(const ServerPtr& server) {
  if (!closing_ && probing_.insert(server.get()).second) {
    nursery_.spawn("upstream probe", probe(server));
  }
}

Task<> PoolImpl::probe(ServerPtr server) {
  struct Done {
    std::set<const ServerState*>& probing;
    const ServerState* server;
    ~Done() { probing.erase(server); }
  };
  const Done done{probing_, server.get()};
  // HTTP/1.1 has no PING that would find out which connections died: the last try is a fresh one.
  const auto group = group_of(server, options_.probe_identity, probe_head(*server));
  auto idle = group->http1 ? group->connections.size() : 0;
  while (co_await ask_readyz(server) && !closing_ && idle > 0) --idle;
}

http::RequestHead PoolImpl::probe_head(const ServerState& server) const {
  http::RequestHead head{
      .method = "GET", .target = "/readyz", .authority = server.server.authority()};
  if (!options_.probe_token.empty()) {
    head.headers = http::Headers{{"authorization", "Bearer " + options_.probe_token}};
  }
  return head;
}

// A probe pays no regard to the server's backoff: it has a pace of its own.
Task<bool> PoolImpl::ask_readyz(ServerPtr server) {
  const auto head = probe_head(*server);
  const auto began = clock_.now();
  const auto broke = [](const Error& error) { return error.code == make_error_code(Errc::kReset); };
  auto opened = co_await open_at(server, options_.probe_identity, &head, true);
  if (!opened) co_return broke(opened.error());
  const auto stream = std::move(*opened);
  bool late = false;
  const Deadline deadline{executor_, options_.probe_answer, [&stream, &late] {
                            late = true;
                            stream->cancel();
                          }};
  const auto response = co_await stream->response();
  if (!response) {
    if (late) unanswered(*server, began);
    co_return late || broke(response.error());
  }
  servers_.succeeded(*server);
  monitor_->probe_ok(server->index);
  // Not ready means shutting down, starting, or cut off from etcd; 401 and 403 say nothing.
  monitor_->told_ready(server->index, response->status < 500);
  // To the end: dropping it early would cost an HTTP/1.1 connection.
  std::size_t size = 0;
  while (size < kMaxProbeBody) {
    const auto piece = co_await stream->read();
    if (!piece || piece->empty()) break;
    size += piece->size();
  }
  co_return false;
}

// Without a PING (HTTP/1.1) nothing else tells that the line swallows everything.
void PoolImpl::unanswered(const ServerState& server, Time since) {
  std::vector<ConnectionPtr> idle;
  for (const auto& [key, group] : groups_) {
    if (group->server.get() != &server) continue;
    for (const auto& connection : group->connections) {
      if (connection->http->last_received() > since) return;  // it is /readyz that is slow
      if (!connection->http2 && connection->http->active() == 0) idle.push_back(connection);
    }
  }
  monitor_->ping_failed(server.index);
  // As dead as the one that was tried: not to be found out one by one.
  for (const auto& connection : idle) connection->close();
}

Task<> PoolImpl::shutdown() {
  closing_ = true;
  const auto close_all = [](const GroupPtr& group) {
    const auto connections = group->connections;
    for (const auto& connection : connections) connection->close();
    group->changed.notify_all();
  };
  for (const auto& [key, group] : groups_) close_all(group);
  for (const auto& group : retired_) close_all(group);
  nursery_.cancel();
  co_await nursery_.join();
}

void PoolImpl::configure(PoolOptions options, std::unique_ptr<Dialer> dialer) {
  options_ = std::move(options);
  pace_.configure(pace_of(options_));
  servers_.replace(options_.servers);
  const bool redial = dialer != nullptr;
  if (redial) dialer_ = std::move(dialer);
  for (auto it = groups_.begin(); it != groups_.end();) {
    if (redial || it->second->server->index == ServerState::kUnlisted) {
      retired_.push_back(std::move(it->second));
      it = groups_.erase(it);
    } else {
      ++it;
    }
  }
}

PoolStats PoolImpl::stats() const {
  PoolStats stats = stats_;
  const auto count = [&stats](const GroupPtr& group) {
    stats.connections += group->connections.size();
    for (const auto& connection : group->connections) stats.streams += connection->http->active();
  };
  for (const auto& [key, group] : groups_) count(group);
  for (const auto& group : retired_) count(group);
  return stats;
}

}  // namespace

std::unique_ptr<Pool> Pool::create(Executor executor, PoolOptions options,
                                   std::shared_ptr<LinkMonitor> monitor,
                                   std::unique_ptr<Dialer> dialer, const Clock& clock) {
  return std::make_unique<PoolImpl>(executor, std::move(options), std::move(monitor),
                                    std::move(dialer), clock);
}

}  // namespace holdfast::upstream
