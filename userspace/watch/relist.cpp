// What a session does when the API server has forgotten the events that it needs (410).
#include <optional>
#include <utility>

#include <spdlog/spdlog.h>

#include "read/inflate.h"
#include "read/refusal.h"
#include "watch/session.h"

namespace holdfast::watch {

using namespace std::chrono_literals;

namespace {

// For what was delivered to be in the cache, too: the disk may be slow.
constexpr auto kBaseLimit = 3s;
constexpr auto kBasePause = 20ms;
// The watch's own stream goes well meanwhile, and would be asked for at once.
constexpr auto kListPause = 500ms;

/// A list's body on its way into a difference.
class ListReading {
 public:
  ListReading(const http::ResponseHead& head, kube::Encoding encoding, Difference& difference)
      : splitter_{kube::ListSplitter::create(encoding, [&difference](kube::Object object) {
          difference.add(std::move(object));
          return Result<void>{};
        })} {
    kube::Encoding have{};
    bool stream = false;
    const auto packed = head.headers.get("content-encoding");
    if (packed == "gzip") inflater_ = std::make_unique<read::Inflater>();
    failed_ = !kube::parse_content_type(head.headers.get("content-type"), have, stream) || stream ||
              have != encoding || (!packed.empty() && !inflater_);
  }
  [[nodiscard]] bool fits() const { return !failed_; }
  void feed(const Slice& piece) {
    if (!inflater_) return split(piece);
    const auto unpacked =
        inflater_->feed(piece.view(), [this](const Slice& plain) { split(plain); });
    failed_ = failed_ || !unpacked;
  }
  /// The list's resourceVersion; 0: it can't be read.
  kube::ResourceVersion finish() {
    if (failed_ || (inflater_ && !inflater_->finished())) return 0;
    const auto meta = splitter_->finish();
    kube::ResourceVersion version = 0;
    if (meta && meta->continue_token.empty()) {
      kube::parse_resource_version(meta->resource_version, version);
    }
    return version;
  }

 private:
  void split(const Slice& plain) { failed_ = failed_ || !splitter_->feed(plain.view()); }

  std::unique_ptr<kube::ListSplitter> splitter_;
  std::unique_ptr<read::Inflater> inflater_;
  bool failed_ = false;
};

}  // namespace

// The list that this query was shown last tells, if every event since is in it and no other: then
// it is what the client has. The last ones may still be on their way into it.
Task<std::unique_ptr<Difference>> Session::find_difference() {
  if (!request_->principal || table_ || !initial_done_ || delivered_ == 0) co_return nullptr;
  const auto query = request::query_of(*request_, *request_->principal, representation_);
  if (!query) co_return nullptr;
  auto& store = thread_.services.store;
  const auto limit = SteadyClock::now() + kBaseLimit;
  while (SteadyClock::now() < limit) {
    auto base = store.base(*query, delivered_);
    std::unique_ptr<cache::ListSnapshot> bodies;
    if (base) bodies = store.base(*query, delivered_);
    if (bodies) {
      auto difference = Difference::create(std::move(base), std::move(bodies));
      if (!difference) co_return nullptr;
      co_return std::move(*difference);
    }
    Timer moment{thread_.executor, kBasePause};
    co_await moment.async_wait(use_task);
  }
  spdlog::info("a watch of {} begins anew: the cache does not know what it had shown by {}",
               request_->attributes.gvr.resource, delivered_);
  co_return nullptr;
}

Task<Session::Outcome> Session::tell_difference(std::unique_ptr<Difference> difference,
                                                Slice expired) {
  const auto attempt = read::Attempt::start(thread_, request_, list_head());
  const read::AttemptGuard guard{attempt};
  const bool arrived = co_await wait_for_head(attempt);
  if (!arrived) co_return Outcome::kCut;
  ++failures_;
  if (!*attempt->head) co_return Outcome::kCut;
  const auto& head = **attempt->head;
  read::note_status(thread_, *request_, head.status);
  if (head.status == 200) list_forbidden_since_.reset();
  if (ask_again(head.status, list_forbidden_since_)) {
    Timer moment{thread_.executor, kListPause};
    co_await moment.async_wait(use_task);
    co_return Outcome::kCut;
  }
  if (head.status == 401) {
    co_await end("its credential is refused");
    co_return Outcome::kEnded;
  }
  std::optional<std::pair<std::vector<kube::WatchEvent>, kube::ResourceVersion>> told;
  // Else it may watch but not list, for instance.
  if (head.status == 200) {
    ListReading reading{head, representation_.encoding, *difference};
    while (reading.fits()) {
      const auto piece = co_await attempt->stream->read();
      if (!piece) co_return Outcome::kCut;
      if (piece->empty()) break;
      reading.feed(*piece);
    }
    const auto version = reading.finish();
    // One that is older than what was delivered comes from a server that lags, or from the past.
    if (version >= delivered_) {
      if (auto events = difference->finish()) told.emplace(std::move(*events), version);
    }
  }
  if (!told) {
    spdlog::info("a watch of {} begins anew: what it missed since {} is not to be had (HTTP {})",
                 request_->attributes.gvr.resource, delivered_, head.status);
    co_await request_->reply.write(std::move(expired), true);
    co_return Outcome::kEnded;
  }
  failures_ = 0;
  co_return co_await deliver_difference(difference->type(), std::move(told->first), told->second);
}

Task<Session::Outcome> Session::deliver_difference(kube::TypeMeta type,
                                                   std::vector<kube::WatchEvent> events,
                                                   kube::ResourceVersion to) {
  thread_.services.metrics.watch_resumed(telemetry::ResumeHow::kRelist);
  if (!recorder_) begin_recording();
  if (lead_) {
    share::HubBatch shared{.events = events, .end = to, .base = delivered_, .type = type};
    lead_->hub().publish(std::move(shared));
  }
  if (recorder_) recorder_->difference(events, to, on_disk());
  co_await until_durable();
  std::string batch;
  for (const auto& event : events) {
    batch += event.frame.view();
    if (batch.size() < kBatch) continue;
    if (!co_await deliver(std::exchange(batch, {}))) co_return Outcome::kEnded;
  }
  if (wants_bookmarks_) batch += kube::render_bookmark(representation_.encoding, type, to, false);
  delivered_ = to;
  if (!co_await deliver(std::move(batch))) co_return Outcome::kEnded;
  co_return Outcome::kAgain;
}

}  // namespace holdfast::watch
