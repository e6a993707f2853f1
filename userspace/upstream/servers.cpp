#include "upstream/servers.h"

#include <algorithm>
#include <cerrno>

namespace holdfast::upstream {
namespace {

/// Servers whose round trips differ by less are as good as each other.
constexpr std::chrono::milliseconds kAsFast{2};

}  // namespace

void Servers::replace(const std::vector<Server>& servers) {
  std::vector<ServerPtr> next;
  for (const auto& server : servers) {
    const auto known = std::find_if(servers_.begin(), servers_.end(),
                                    [&](const ServerPtr& s) { return s->server == server; });
    auto state = known == servers_.end() ? std::make_shared<ServerState>() : *known;
    state->server = server;
    next.push_back(std::move(state));
  }
  for (const auto& old : servers_) old->index = ServerState::kUnlisted;
  for (std::size_t i = 0; i < next.size(); ++i) next[i]->index = i;
  servers_ = std::move(next);
}

bool Servers::fails(const ServerState& server) const {
  return server.failures > 0 || (monitor_ && monitor_->health(server.index).failing);
}

std::chrono::nanoseconds Servers::round_trip(const ServerState& server) const {
  const auto shared = monitor_ ? monitor_->health(server.index).srtt : std::chrono::nanoseconds{0};
  return shared.count() > 0 ? shared : server.srtt;
}

bool Servers::has_better_than(const ServerState& server) const {
  return std::any_of(servers_.begin(), servers_.end(), [&](const ServerPtr& other) {
    return other.get() != &server && !fails(*other);
  });
}

ServerPtr Servers::next(const std::optional<Server>& sticky, const std::vector<ServerPtr>& tried,
                        Time now) const {
  const auto rank = [&](const ServerState& s) {
    if (fails(s)) return 3;
    if (sticky && s.server == *sticky) return 0;
    return round_trip(s).count() > 0 ? 1 : 2;
  };
  ServerPtr best;
  int best_rank = 4;
  std::vector<ServerPtr> measured;
  for (const auto& server : servers_) {
    if (server->failures > 0 && now < server->not_before) continue;
    if (std::find(tried.begin(), tried.end(), server) != tried.end()) continue;
    const int its = rank(*server);
    if (its == 1) measured.push_back(server);
    if (its < best_rank) {
      best = server;
      best_rank = its;
    }
  }
  if (best_rank != 1) return best;
  auto fastest = round_trip(*best);
  for (const auto& server : measured) fastest = std::min(fastest, round_trip(*server));
  // Noise must not send connections now here, now there.
  const auto as_fast = fastest + std::max<std::chrono::nanoseconds>(fastest / 4, kAsFast);
  return *std::find_if(measured.begin(), measured.end(),
                       [&](const ServerPtr& server) { return round_trip(*server) <= as_fast; });
}

Error Servers::why_none() const {
  if (servers_.empty()) return make_error(Errc::kUnavailable, "no API server is known");
  return make_error(Errc::kUnavailable, servers_.front()->last_error.to_string());
}

void Servers::failed(ServerState& server, Error error, Time now) {
  const unsigned doublings = std::min(server.failures, 16u);
  ++server.failures;
  server.last_error = std::move(error);
  server.not_before = now + jittered(std::min(backoff_min_ * (1 << doublings), backoff_max_));
}

void Servers::succeeded(ServerState& server) const {
  server.failures = 0;
  server.doubted.reset();
}

void Servers::forgive_all() const {
  for (const auto& server : servers_) server->not_before = {};
}

void Servers::measured(ServerState& server, std::chrono::nanoseconds round_trip) {
  server.srtt = server.srtt.count() == 0 ? round_trip : (server.srtt * 7 + round_trip) / 8;
}

Servers::Duration Servers::jittered(Duration interval) {
  std::uniform_int_distribution<Duration::rep> spread{-interval.count() / 5, interval.count() / 5};
  return interval + Duration{spread(random_)};
}

ConnectFailure classify(const Error& error) {
  if (error.code == make_error_code(Errc::kRefused)) return ConnectFailure::kRefused;
  if (error.code == make_error_code(Errc::kTimeout)) return ConnectFailure::kTimeout;
  if (error.code.category() == boost::system::system_category()) {
    switch (error.code.value()) {
      case ECONNREFUSED:
      case ENETUNREACH:
      case EHOSTUNREACH:
      case ENETDOWN:
        return ConnectFailure::kRefused;
      case ETIMEDOUT:
        return ConnectFailure::kTimeout;
      default:
        break;
    }
  }
  return ConnectFailure::kReset;
}

}  // namespace holdfast::upstream
