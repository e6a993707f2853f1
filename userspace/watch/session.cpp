#include "watch/session.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "holdfast/base/deadline.h"
#include "holdfast/kube/status_reasons.h"
#include "read/metadata_only.h"
#include "read/offline_answer.h"
#include "read/read.h"
#include "read/refusal.h"
#include "read/tee.h"
#include "read/version_rules.h"
#include "request/denials.h"
#include "request/query_string.h"
#include "watch/watch.h"

namespace holdfast::watch {

using namespace std::chrono_literals;
using request::Request;
using request::ThreadContext;
using telemetry::Source;
using telemetry::WatchState;

namespace {

constexpr auto kHeldAtMost = 1h;  // without timeoutSeconds the API server ends a watch by then, too
constexpr auto kSlow = 1s;        // a client that takes longer for a batch than others should wait
constexpr std::size_t kMaxRefusal = 1024 * 1024;  // bytes of a refusal's body

// The Accept header that gets exactly this representation again, of a watch or of a list.
std::string accept_exactly(const kube::Representation& representation, bool watch) {
  auto accept = kube::content_type(representation.encoding, false);
  if (watch) accept += ";stream=watch";
  if (representation.transform == kube::Transform::kPartialObjectMetadata) {
    // The API server refuses (406) the one for the other.
    accept += watch ? ";as=PartialObjectMetadata" : ";as=PartialObjectMetadataList";
    accept += ";g=meta.k8s.io;v=" + representation.transform_version;
  }
  return accept;
}

}  // namespace

struct Session::Durable {
  explicit Durable(Executor executor) : event{executor} {}
  Event event;
  std::uint64_t queued = 0, written = 0;
  bool late = false;  ///< the disk hangs: nobody waits until it has caught up
};

Session::Session(ThreadContext& thread, std::shared_ptr<Request> request)
    : thread_{thread},
      request_{std::move(request)},
      initial_events_{request_->attributes.options.send_initial_events},
      wants_bookmarks_{request_->attributes.options.allow_watch_bookmarks},
      table_{request_->accept.front().representation.transform == kube::Transform::kTable},
      era_{thread_.services.store.era()},
      initial_done_{!from_the_start()} {
  const auto& options = request_->attributes.options;
  if (options.timeout_seconds) {
    deadline_ = request_->started + std::chrono::seconds{*options.timeout_seconds};
  }
  if (!initial_events_) kube::parse_resource_version(options.resource_version, delivered_);
  if (request_->record.durability == cache::Durability::kWriteThrough) {
    durable_ = std::make_shared<Durable>(thread_.executor);
  }
}

Session::~Session() {
  set_state(std::nullopt);
}

void Session::set_state(std::optional<WatchState> state) {
  if (state == state_) return;
  if (state_) thread_.services.metrics.watch_closed(*state_);
  if (state) thread_.services.metrics.watch_opened(*state);
  state_ = state;
}

bool Session::from_the_start() const {
  const auto& version = request_->attributes.options.resource_version;
  return initial_events_ || version.empty() || version == "0";
}

std::optional<std::uint32_t> Session::seconds_left() const {
  if (!deadline_) return std::nullopt;
  const auto left = std::chrono::ceil<std::chrono::seconds>(*deadline_ - SteadyClock::now());
  return static_cast<std::uint32_t>(std::max<std::int64_t>(left.count(), 0));
}

SteadyClock::duration Session::doubt() const {
  return std::min<SteadyClock::duration>(kDoubt, thread_.config->cache.review_ttl);
}

SteadyClock::time_point Session::limit() const {
  return deadline_.value_or(request_->started + SteadyClock::duration{kHeldAtMost});
}

Task<> Session::run() {
  while (true) {
    if (request_->reply.started() && outdated()) {
      auto expired = kube::render_error_event(
          representation_.encoding,
          kube::expired("the API server's history is another one than when this watch began"));
      co_await request_->reply.write(Slice::own(std::move(expired)), true);
      co_return;
    }
    if (seconds_left() == 0u && request_->reply.started()) {
      co_await end("its time is over");
      co_return;
    }
    if (thread_.services.link.state() != upstream::Link::kOffline) {
      if (!request::may_go_up(*request_)) co_return;
      const auto outcome = co_await follow();
      if (outcome == Outcome::kEnded) co_return;
      if (outcome == Outcome::kAgain) continue;
    }
    // g++ 12 miscompiles a co_await behind && (as it does inside ?:): one condition at a time.
    if (!request_->reply.started()) {
      const bool begun = co_await begin_offline();
      if (!begun) co_return;
    }
    set_state(WatchState::kHeld);
    co_await wait_for_link();
  }
}

http::RequestHead Session::upstream_head() const {
  auto head = request::upstream_head(request_->head());
  // Events are cut into frames on their way, so that a broken stream never ends within one.
  head.headers.remove("accept-encoding");
  const auto from = std::to_string(behind_ != 0 ? behind_ : delivered_);
  if (!request_->reply.started()) {
    head.target = request::rewrite_query(head.target, {{"allowWatchBookmarks", "true"}});
    if (behind_ != 0)
      head.target = request::rewrite_query(head.target, {{"resourceVersion", from}});
    head.headers.set("accept", kube::restrict_accept(head.headers.joined("accept")));
    return head;
  }
  const auto left = seconds_left();
  head.target = request::rewrite_query(
      head.target,
      {{"allowWatchBookmarks", "true"},
       {"resourceVersion", from},
       {"resourceVersionMatch", ""},
       {"sendInitialEvents", ""},
       {"timeoutSeconds", left ? std::to_string(std::max(*left, 1u)) : std::string{}}});
  const bool as_asked = table_ || guessed_;
  head.headers.set("accept", as_asked ? kube::restrict_accept(head.headers.joined("accept"))
                                      : accept_exactly(representation_, true));
  return head;
}

http::RequestHead Session::list_head() const {
  auto head = request::upstream_head(request_->head());
  head.target = request::rewrite_query(head.target, {{"watch", ""},
                                                     {"allowWatchBookmarks", ""},
                                                     {"resourceVersion", ""},
                                                     {"resourceVersionMatch", ""},
                                                     {"sendInitialEvents", ""},
                                                     {"timeoutSeconds", ""}});
  head.headers.set("accept", accept_exactly(representation_, false));
  head.headers.set("accept-encoding", "gzip");
  return head;
}

// A client that was elsewhere for a while (the agent was restarted, the kernel let it go direct)
// comes back ahead of the list that it left here. Only a list or the events between close that gap,
// and an informer does not list again. So its watch is asked for from where the list ends; the
// client gets what is new to it.
void Session::look_back() {
  behind_ = 0;
  if (gap_stays_ || table_ || from_the_start() || delivered_ == 0) return;
  const auto principal = read::known_principal(thread_, *request_);
  if (!principal) return;
  auto query = request::query_of(
      *request_, *principal,
      request_->reply.started() ? representation_ : request_->accept.front().representation);
  if (!query) return;
  const auto known = thread_.services.store.followed(std::move(*query));
  if (known < delivered_) behind_ = known;
}

void Session::give_up_gap() {
  behind_ = 0;
  gap_stays_ = true;
  recorder_.reset();
}

Task<Session::Outcome> Session::follow() {
  thread_.principals.start(*request_);
  if (!recorder_) look_back();
  if (behind_ == 0) {
    if (const auto shared = co_await follow_hub()) co_return *shared;
  }
  const auto attempt = read::Attempt::start(thread_, request_, upstream_head());
  const read::AttemptGuard guard{attempt};
  const bool arrived = co_await wait_for_head(attempt);
  if (!arrived) co_return Outcome::kCut;
  if (!*attempt->head) {
    ++failures_;
    co_return Outcome::kCut;
  }
  const unsigned status = (*attempt->head)->status;
  read::note_status(thread_, *request_, status);
  if (status == 410 && behind_ != 0) {
    give_up_gap();
    co_return Outcome::kAgain;
  }
  if (status == 410 && request_->reply.started()) {
    auto difference = co_await find_difference();
    if (difference) {
      auto expired = Slice::own(kube::render_error_event(
          representation_.encoding, kube::expired("the API server has forgotten these events")));
      co_return co_await tell_difference(std::move(difference), std::move(expired));
    }
  }
  if (status != 200) co_return co_await answer_refusal(attempt);
  co_return co_await pass_events(attempt);
}

Task<bool> Session::wait_for_head(std::shared_ptr<read::Attempt> attempt) {
  while (!attempt->head) {
    const bool alive = co_await read::Attempt::wait(attempt, read::patience(thread_));
    if (alive) continue;
    thread_.pool.late(request_->client->sticky);
    if (thread_.services.link.state() == upstream::Link::kOffline) co_return false;
    if (request_->reply.started()) continue;
    // A client that waits for its first byte may begin with what the cache has.
    if (could_begin()) co_return false;
  }
  co_return true;
}

bool Session::ask_again(unsigned status,
                        std::optional<SteadyClock::time_point>& forbidden_since) const {
  if (status == 429 || status >= 500) return true;
  if (status != 403) return false;
  const auto now = SteadyClock::now();
  if (!forbidden_since) forbidden_since = now;
  return now - *forbidden_since < doubt();
}

// The API server said something else than 200, to a client that may have had a 200 long ago.
Task<Session::Outcome> Session::answer_refusal(std::shared_ptr<read::Attempt> attempt) {
  auto head = std::move(**attempt->head);
  const unsigned status = head.status;
  const bool begun = request_->reply.started();
  ++failures_;
  if (read::is_refusal(status)) lead_.reset();  // another's credential may do
  if (begun && ask_again(status, forbidden_since_)) co_return Outcome::kCut;
  std::string body;
  while (true) {
    auto piece = co_await attempt->stream->read();
    if (!piece) co_return Outcome::kCut;
    if (piece->empty()) break;
    if (body.size() + piece->size() <= kMaxRefusal) body += piece->view();
  }
  if (begun && status != 401) {
    spdlog::info("a watch of {} is refused (HTTP {}): its client begins anew",
                 request_->attributes.gvr.resource, status);
  }
  if (read::is_refusal(status)) {
    if (!request_->principal && status != 401) {
      request_->principal = co_await thread_.principals.resolve(request_, kReviewLimit);
    }
    read::forget_refused(thread_, *request_, status, head.headers.get("content-type"), body);
  }
  if (!begun) {
    if (!co_await request_->reply.head(std::move(head), body.empty(), Source::kUpstream)) {
      co_return Outcome::kEnded;
    }
    if (!body.empty()) co_await request_->reply.write(Slice::own(std::move(body)), true);
    co_return Outcome::kEnded;
  }
  // An expired token: a clean end makes the client come back with a fresh one.
  if (status == 401) {
    co_await end("its credential is refused");
    co_return Outcome::kEnded;
  }
  const auto refusal = kube::parse_object(representation_.encoding, Slice::own(std::move(body)));
  auto frame = refusal ? kube::render_event(representation_.encoding, kube::EventType::kError,
                                            refusal->type, refusal->body.view())
                       : kube::render_error_event(representation_.encoding,
                                                  {.code = status, .message = "watch refused"});
  co_await request_->reply.write(Slice::own(std::move(frame)), true);
  co_return Outcome::kEnded;
}

Task<Session::Outcome> Session::pass_events(std::shared_ptr<read::Attempt> attempt) {
  auto head = std::move(**attempt->head);
  bool stream = false;
  kube::Encoding encoding{};
  if (!kube::parse_content_type(head.headers.get("content-type"), encoding, stream) ||
      head.headers.has("content-encoding")) {
    if (behind_ != 0) {
      give_up_gap();
      co_return Outcome::kAgain;
    }
    spdlog::warn("a watch was answered with content type \"{}\", which can't be kept alive",
                 head.headers.get("content-type"));
    co_await pass_untouched(attempt, std::move(head));
    co_return Outcome::kEnded;
  }
  const bool resumed = request_->reply.started();
  if (!resumed) {
    representation_ = request_->accept.front().representation;
    representation_.encoding = encoding;
    request_->principal = co_await thread_.principals.resolve(request_, kReviewLimit);
    if (!co_await request_->reply.head(std::move(head), false, Source::kUpstream)) {
      co_return Outcome::kEnded;
    }
  } else if (encoding != representation_.encoding) {
    co_await end("it is in another form now");
    co_return Outcome::kEnded;
  } else {
    thread_.services.metrics.watch_resumed(telemetry::ResumeHow::kResume);
  }
  forbidden_since_.reset();
  read::note_allowed(thread_, *request_);
  // The API server's own yes is as good as a review.
  leads_until_ = SteadyClock::now() + thread_.config->cache.review_ttl;
  if (!recorder_) begin_recording();
  lead();
  set_state(WatchState::kLive);

  const auto decoder = kube::WatchDecoder::create(encoding);
  while (true) {
    auto piece = co_await attempt->stream->read();
    if (!piece) break;
    if (piece->empty()) {
      // The API server ended the watch in order; the client opens the next one itself.
      if (decoder->pending() > 0) break;
      co_await end("the API server ended it");
      co_return Outcome::kEnded;
    }
    // Nothing of it is taken yet: whatever is still to be had is asked for once more.
    const bool admitted = co_await may_lead_on();
    if (!admitted || outdated()) co_return Outcome::kAgain;
    failures_ = 0;
    decoder->feed(piece->view());
    std::string batch;
    std::vector<kube::WatchEvent> shared;
    bool last = false;
    kube::WatchEvent event;
    while (!last) {
      const auto more = decoder->next(event);
      if (!more) {
        spdlog::warn("a watch of {} was ended: {}", request_->attributes.gvr.resource,
                     more.error().to_string());
        request_->reply.abort();
        co_return Outcome::kEnded;
      }
      if (!*more) break;
      if (event.type == kube::EventType::kError && event.status_code == 410) {
        if (behind_ != 0) {
          give_up_gap();  // and `batch` is empty: all of it was known
          co_return Outcome::kAgain;
        }
        co_await until_durable();
        if (!co_await deliver(std::exchange(batch, {}))) co_return Outcome::kEnded;
        auto difference = co_await find_difference();
        if (difference) {
          co_return co_await tell_difference(std::move(difference), event.frame);
        }
      }
      last = !take(event, batch);
      if (lead_ && !last) shared.push_back(std::move(event));
    }
    publish(std::move(shared));
    co_await until_durable();
    if (!co_await deliver(std::move(batch))) co_return Outcome::kEnded;
    // The state that a WatchList began with is its own; the rest may be shared.
    if (initial_done_ && !lead_) lead();
    if (!last && could_join()) co_return Outcome::kAgain;
    if (last) {
      co_await end("after an error event");
      co_return Outcome::kEnded;
    }
  }
  // Initial events have no order to resume from: the client begins anew, and is answered from the
  // cache if the link stays away.
  if (!initial_done_ || delivered_ == 0) {
    spdlog::info("a watch of {} begins anew: it broke before its initial state was whole",
                 request_->attributes.gvr.resource);
    request_->reply.abort();
    co_return Outcome::kEnded;
  }
  co_return Outcome::kCut;
}

Task<> Session::pass_untouched(std::shared_ptr<read::Attempt> attempt, http::ResponseHead head) {
  auto& reply = request_->reply;
  if (reply.started()) {
    reply.abort();  // in the middle of a stream of another form
    co_return;
  }
  if (!co_await reply.head(std::move(head), false, Source::kUpstream)) co_return;
  while (true) {
    auto piece = co_await attempt->stream->read();
    if (!piece) {
      reply.abort();
      co_return;
    }
    const bool last = piece->empty();
    if (!co_await reply.write(std::move(*piece), last)) co_return;
    if (last) co_return;
  }
}

bool Session::take(const kube::WatchEvent& event, std::string& batch) {
  if (event.type == kube::EventType::kError) {
    batch += event.frame.view();
    return false;
  }
  if (recorder_) recorder_->event(event, on_disk());
  // Without that mark, the first event that is not of the initial state tells.
  if (event.initial_events_end || (!initial_events_ && event.type != kube::EventType::kAdded)) {
    initial_done_ = true;
  }
  const auto version = event.object.meta.resource_version;
  bool shown = event.type != kube::EventType::kBookmark || wants_bookmarks_;
  if (behind_ != 0) {
    shown = shown && version > delivered_;
    behind_ = version < delivered_ ? std::max(behind_, version) : 0;
  }
  if (initial_done_) delivered_ = std::max(delivered_, version);
  if (shown) batch += event.frame.view();
  return true;
}

std::function<void(bool)> Session::on_disk() {
  if (!durable_) return {};
  ++durable_->queued;
  // The writer keeps nothing that belongs to this thread's executor once it has told.
  return [durable = durable_, executor = thread_.executor](bool) mutable {
    boost::asio::post(executor, [durable = std::move(durable)] {
      ++durable->written;
      durable->event.notify_all();
    });
  };
}

// What a kubelet acts on reaches it after it is on disk: a crash in between must not make it
// forget a pod that it started, nor start one that it never saw.
Task<> Session::until_durable() {
  if (!durable_) co_return;
  const auto limit = SteadyClock::now() + read::Tee::kDiskLimit;
  while (durable_->written < durable_->queued && !durable_->late) {
    const auto left = limit - SteadyClock::now();
    if (left > left.zero()) {
      co_await durable_->event.wait_for(left);
      continue;
    }
    // Without us the kubelet would have it by now. What it knows is not on disk, so it is not
    // served before it is (the store's readers wait for what is queued, and then say 503).
    durable_->late = true;
    spdlog::warn("the cache's disk hangs: events of {} go on unwritten",
                 request_->attributes.gvr.resource);
  }
  if (durable_->written == durable_->queued) durable_->late = false;
}

Task<bool> Session::deliver(std::string batch) {
  if (batch.empty()) co_return true;
  std::optional<Deadline> slow;
  if (lead_) {
    slow.emplace(thread_.executor, kSlow, [this] {
      alone_ = true;
      lead_.reset();
    });
  }
  const auto sent = co_await request_->reply.write(Slice::own(std::move(batch)), false);
  co_return sent.has_value();
}

void Session::begin_recording() {
  if (!request_->principal || table_) return;
  // Without an end marker nobody can tell when the state that "" and "0" begin with is complete.
  if (from_the_start() && !initial_events_ && delivered_ == 0) return;
  auto query = request::query_of(*request_, *request_->principal, representation_);
  if (!query) return;
  const cache::WatchStart start{.from = behind_ != 0 ? behind_ : delivered_,
                                .initial_events = initial_events_ && !initial_done_,
                                .shown = delivered_};
  recorder_ = thread_.services.store.record_watch(std::move(*query), start, request_->record);
}

Task<bool> Session::send_head(Source source) {
  http::ResponseHead head{.status = 200};
  head.headers.add("content-type", kube::content_type(representation_.encoding, true));
  head.headers.add("cache-control", "no-cache, private");
  const auto sent = co_await request_->reply.head(std::move(head), false, source);
  co_return sent.has_value();
}

Task<> Session::wait_for_link() {
  // A stream that broke while the link is up is opened again soon, but not in a busy loop.
  const auto pause = std::min<SteadyClock::duration>(100ms * (1u << std::min(failures_, 6u)), 5s);
  const auto limit = this->limit();
  if (!deadline_ && SteadyClock::now() >= limit) deadline_ = limit;
  co_await thread_.link_changed.wait_for(
      std::min(pause, std::max<SteadyClock::duration>(limit - SteadyClock::now(), 1ms)));
  while (thread_.services.link.state() == upstream::Link::kOffline) {
    forbidden_since_.reset();
    list_forbidden_since_.reset();
    const auto left = limit - SteadyClock::now();
    if (left <= left.zero()) {
      deadline_ = limit;
      co_return;
    }
    co_await thread_.link_changed.wait_for(left);
  }
}

Task<> Session::end(const char* why) {
  spdlog::debug("a watch of {} is over at {}: {}", request_->attributes.gvr.resource, delivered_,
                why);
  co_await request_->reply.write({}, true);
}

Task<> serve_watch(ThreadContext& thread, std::shared_ptr<Request> request) {
  Session session{thread, std::move(request)};
  co_await session.run();
}

}  // namespace holdfast::watch
