// How a session shares its upstream stream with others, or goes with another one's.
#include <algorithm>

#include "holdfast/kube/selector.h"
#include "read/offline_answer.h"
#include "read/refusal.h"
#include "share/key.h"
#include "watch/session.h"

namespace holdfast::watch {

using namespace std::chrono_literals;
using request::Access;
using telemetry::Source;
using telemetry::WatchState;

namespace {

constexpr auto kGlance = 1s;  // at the link, when nothing comes
constexpr auto kUnsure = 3s;  // for a review that can't be answered
constexpr auto kPause = 30s;  // until a leader's is asked for again

}  // namespace

std::string Session::share_key() {
  // Events before the state is complete have no order that others could join in.
  if (!thread_.config->cache.share || alone_ || !initial_done_ || delivered_ == 0) return {};
  if (!request_->reply.started()) {
    return share::key_of(*request_, request_->accept.front().representation);
  }
  if (key_.empty()) key_ = share::key_of(*request_, representation_);
  return key_;
}

Task<std::optional<Session::Outcome>> Session::follow_hub() {
  auto key = share_key();
  if (lead_ || key.empty()) co_return std::nullopt;
  const auto hub = thread_.services.shared.hubs.find(key);
  if (!hub || !hub->covers(delivered_)) {
    // The first one leads from its request on, so that those who come meanwhile need none. One that
    // was refused would keep them waiting.
    if (!hub && !forbidden_since_)
      lead_ = thread_.services.shared.hubs.lead(std::move(key), delivered_);
    co_return std::nullopt;
  }
  if (!request_->principal) {
    request_->principal = co_await thread_.principals.resolve(request_, kReviewLimit);
  }
  auto access = co_await review(thread_.config->cache.review_ttl);
  const bool admitted = reviewed_until_ != SteadyClock::time_point{};
  if (access != Access::kAllowed && admitted) access = co_await review_again();
  // Whom the API server refuses, it tells so itself.
  if (access != Access::kAllowed) co_return std::nullopt;
  read::note_allowed(thread_, *request_);
  auto reader = hub->join(thread_.executor, delivered_);
  if (!reader) co_return std::nullopt;
  co_return co_await pass_batches(hub, std::move(reader));
}

Task<request::Access> Session::review(SteadyClock::duration ttl) {
  const auto now = SteadyClock::now();
  if (now < reviewed_until_) co_return Access::kAllowed;
  const auto verdict = co_await thread_.reviews.review(request_, kube::Verb::kWatch, ttl);
  if (verdict.access == Access::kAllowed) {
    reviewed_until_ = verdict.at + thread_.config->cache.review_ttl;
  }
  co_return verdict.access;
}

Task<request::Access> Session::review_again() {
  const auto began = SteadyClock::now();
  if (!forbidden_since_) forbidden_since_ = began;
  auto access = Access::kUnknown;
  while (SteadyClock::now() - *forbidden_since_ < doubt()) {
    if (thread_.services.link.state() == upstream::Link::kOffline) {
      forbidden_since_.reset();
      co_return Access::kUnknown;
    }
    Timer moment{thread_.executor, kGlance};
    co_await moment.async_wait(use_task);
    access = co_await review(kGlance);
    if (access == Access::kAllowed) {
      forbidden_since_.reset();
      break;
    }
    // A stream of its own tells.
    if (access == Access::kUnknown && SteadyClock::now() - began >= kUnsure) {
      forbidden_since_.reset();
      break;
    }
  }
  co_return access;
}

Task<bool> Session::may_lead_on() {
  if (!lead_ || !lead_->hub().followed()) co_return true;
  const auto ttl = thread_.config->cache.review_ttl;
  if (SteadyClock::now() < leads_until_) co_return true;
  const auto verdict = co_await thread_.reviews.review(request_, kube::Verb::kWatch, ttl);
  if (verdict.access == Access::kDenied) {
    lead_.reset();
    if (!forbidden_since_) forbidden_since_ = SteadyClock::now();
    co_return false;
  }
  // What can't be found out delays nothing for long: the stream is the API server's own answer.
  leads_until_ =
      verdict.access == Access::kAllowed ? verdict.at + ttl : SteadyClock::now() + kPause;
  co_return true;
}

Task<Session::Outcome> Session::pass_batches(std::shared_ptr<share::Hub> hub,
                                             std::unique_ptr<share::HubReader> reader) {
  if (!request_->reply.started()) {
    while (!hub->query() && !reader->ended()) {
      if (thread_.services.link.state() == upstream::Link::kOffline) co_return Outcome::kCut;
      co_await reader->wait(kGlance);
    }
    auto query = hub->query();
    if (!query) co_return Outcome::kAgain;
    representation_ = std::move(query->representation);
    const bool begun = co_await send_head(Source::kUpstream);
    if (!begun) co_return Outcome::kEnded;
  }
  // What the leader writes of its own principal's list is as good for another client of it.
  const auto query = hub->query();
  const bool recorded = query && query->principal == request_->principal->id() && !durable_;
  if (!recorder_ && !recorded) begin_recording();
  failures_ = 0;
  share::HubBatchPtr batch;
  while (true) {
    const bool away = thread_.services.link.state() == upstream::Link::kOffline;
    set_state(away ? WatchState::kHeld : WatchState::kLive);
    if (outdated()) co_return Outcome::kAgain;
    if (is_over()) {
      co_await end("its time is over");
      co_return Outcome::kEnded;
    }
    if (!batch) batch = reader->next();
    if (!batch && reader->ended()) co_return Outcome::kAgain;
    // While nothing can come, nobody needs to be asked; before something is shown, somebody does.
    auto access = Access::kAllowed;
    if (batch || !away) access = co_await review(thread_.config->cache.review_ttl);
    if (access != Access::kAllowed) access = co_await review_again();
    if (access == Access::kDenied) {
      // Its next request is refused by the API server itself.
      co_await end("its permission is gone");
      co_return Outcome::kEnded;
    }
    // Not known: a stream of its own tells, once there can be one.
    const bool known = access == Access::kAllowed;
    if (!known && thread_.services.link.state() != upstream::Link::kOffline) {
      co_return Outcome::kCut;
    }
    if (!known) {
      co_await thread_.link_changed.wait_for(kGlance);
      continue;
    }
    if (!batch) {
      co_await reader->wait(kGlance);
      continue;
    }
    const auto outcome = co_await take_batch(std::exchange(batch, nullptr));
    if (outcome) co_return *outcome;
  }
}

Task<std::optional<Session::Outcome>> Session::take_batch(share::HubBatchPtr batch) {
  if (batch->base) {
    // Whoever is past its beginning can't tell what is new of it.
    if (delivered_ != *batch->base) co_return Outcome::kAgain;
    const auto outcome = co_await deliver_difference(batch->type, batch->events, batch->end);
    if (outcome == Outcome::kEnded) co_return outcome;
    co_return std::nullopt;
  }
  std::string text;
  for (const auto& event : batch->events) {
    if (event.object.meta.resource_version > delivered_) take(event, text);
  }
  co_await until_durable();
  const bool delivered = co_await deliver(std::move(text));
  if (!delivered) co_return Outcome::kEnded;
  co_return std::nullopt;
}

void Session::lead() {
  auto key = share_key();
  // The answer may have come in another form than the one that it was expected in.
  if (key.empty() || !request_->principal || (lead_ && lead_->key() != key)) lead_.reset();
  if (key.empty() || !request_->principal) return;
  auto query = request::query_of(*request_, *request_->principal, representation_);
  if (!query) return;
  if (!lead_) lead_ = thread_.services.shared.hubs.lead(std::move(key), delivered_);
  if (lead_) lead_->hub().opened(std::move(*query));
}

bool Session::could_join() {
  if (lead_ || looked_for_hub_ || !initial_done_) return false;
  const auto key = share_key();
  const auto hub = key.empty() ? nullptr : thread_.services.shared.hubs.find(key);
  if (!hub || !hub->covers(delivered_)) return false;
  looked_for_hub_ = true;
  return true;
}

void Session::publish(std::vector<kube::WatchEvent> events) {
  if (!lead_ || events.empty()) return;
  share::HubBatch batch;
  batch.events = std::move(events);
  for (auto& event : batch.events) {
    event.frame = Slice::copy(event.frame.view());  // it would hold the transport's block
    batch.end = std::max(batch.end, event.object.meta.resource_version);
  }
  lead_->hub().publish(std::move(batch));
}

}  // namespace holdfast::watch
