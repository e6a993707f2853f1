#include "upstream/link_machine.h"

#include <algorithm>

namespace holdfast::upstream {
namespace {

/// A server that was heard from within this time vouches for the link while another one fails: a
/// PING interval with its jitter and some more.
constexpr std::chrono::seconds kVouches{15};

}  // namespace

const char* to_string(Link link) {
  switch (link) {
    case Link::kSuspect:
      return "suspect";
    case Link::kOnline:
      return "online";
    case Link::kOffline:
      return "offline";
  }
  return "unknown";
}

const char* to_string(LinkCause cause) {
  switch (cause) {
    case LinkCause::kStart:
      return "start";
    case LinkCause::kProgress:
      return "progress";
    case LinkCause::kProbe:
      return "probe";
    case LinkCause::kConnect:
      return "connect";
    case LinkCause::kPing:
      return "ping";
    case LinkCause::kPatience:
      return "patience";
    case LinkCause::kAllRefused:
      return "all_refused";
    case LinkCause::kSilence:
      return "silence";
  }
  return "unknown";
}

LinkMachine::LinkMachine(LinkOptions options, Time now) : options_{options}, since_{now} {
  snapshot_.last_online = options.last_online;
  set_servers(options.servers);
}

void LinkMachine::set_servers(std::size_t count) {
  servers_.assign(std::max<std::size_t>(count, 1), Server{});
}

std::optional<LinkTransition> LinkMachine::enter(Link to, LinkCause cause, Time now) {
  if (snapshot_.state == to) return std::nullopt;
  const LinkTransition transition{
      .from = snapshot_.state,
      .to = to,
      .cause = cause,
      .generation = snapshot_.generation + (to == Link::kOnline ? 1 : 0)};
  snapshot_.state = to;
  snapshot_.cause = cause;
  snapshot_.generation = transition.generation;
  ++snapshot_.transitions;
  since_ = now;
  return transition;
}

std::optional<LinkTransition> LinkMachine::progress(std::size_t server, Time at, WallTime wall,
                                                    LinkCause cause) {
  // Read late: a byte that came before the link was found silent says nothing about now.
  if (snapshot_.state != Link::kOnline && at < since_) return std::nullopt;
  if (server < servers_.size()) {
    servers_[server].failure.reset();
    servers_[server].last_byte = at;
  }
  snapshot_.last_online = wall;
  return enter(Link::kOnline, cause, at);
}

std::optional<LinkTransition> LinkMachine::failed(std::size_t server, ConnectFailure failure,
                                                  LinkCause cause, Time now) {
  if (server >= servers_.size()) return std::nullopt;  // of a list that was replaced meanwhile
  servers_[server].failure = failure;
  const bool all_refused = std::all_of(servers_.begin(), servers_.end(), [](const Server& s) {
    return s.failure == ConnectFailure::kRefused;
  });
  if (all_refused) return enter(Link::kOffline, LinkCause::kAllRefused, now);
  if (snapshot_.state != Link::kOnline) return std::nullopt;
  if (vouched(server, now)) return std::nullopt;
  return enter(Link::kSuspect, cause, now);
}

std::optional<LinkTransition> LinkMachine::connect_failed(std::size_t server,
                                                          ConnectFailure failure, Time now) {
  return failed(server, failure, LinkCause::kConnect, now);
}

std::optional<LinkTransition> LinkMachine::ping_failed(std::size_t server, Time now) {
  return failed(server, ConnectFailure::kTimeout, LinkCause::kPing, now);
}

std::optional<LinkTransition> LinkMachine::patience_expired(Time now) {
  if (snapshot_.state != Link::kOnline) return std::nullopt;
  return enter(Link::kSuspect, LinkCause::kPatience, now);
}

std::optional<LinkTransition> LinkMachine::late(std::size_t server, Time now) {
  if (server < servers_.size() && vouched(server, now)) return std::nullopt;
  return patience_expired(now);
}

bool LinkMachine::vouched(std::size_t except, Time now) const {
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    const auto& s = servers_[i];
    const bool lately = s.last_byte && now - *s.last_byte < kVouches;
    if (i != except && !s.failure && lately) return true;
  }
  return false;
}

std::optional<LinkTransition> LinkMachine::tick(Time now) {
  if (snapshot_.state != Link::kSuspect || now - since_ < options_.offline_after) {
    return std::nullopt;
  }
  return enter(Link::kOffline, LinkCause::kSilence, now);
}

void LinkMachine::measured(std::size_t server, std::chrono::nanoseconds round_trip) {
  // As TCP smooths its own (RFC 6298 §2).
  const auto smooth = [round_trip](std::chrono::nanoseconds& srtt) {
    srtt = srtt.count() == 0 ? round_trip : (srtt * 7 + round_trip) / 8;
  };
  smooth(snapshot_.srtt);
  if (server < servers_.size()) smooth(servers_[server].srtt);
}

void LinkMachine::told_ready(std::size_t server, bool ready) {
  if (server < servers_.size()) servers_[server].unready = !ready;
}

ServerHealth LinkMachine::health(std::size_t server) const {
  if (server >= servers_.size()) return {};
  const auto& s = servers_[server];
  return {.failing = s.failure.has_value() || s.unready, .srtt = s.srtt};
}

}  // namespace holdfast::upstream
