#include "read/read.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string>
#include <utility>

#include "holdfast/base/deadline.h"
#include "read/attempt.h"
#include "read/offline_answer.h"
#include "read/refusal.h"
#include "read/shared_list.h"
#include "read/tee.h"

namespace holdfast::read {
namespace {

using request::Request;
using request::ThreadContext;
using telemetry::Source;

constexpr std::size_t kMaxStatus = 64 * 1024;  // bytes of a 404's body that are remembered
constexpr std::chrono::seconds kReviewLimit{2};
constexpr std::chrono::seconds kLateLimit{60};  // as the API server's own for a request
constexpr std::chrono::seconds kSlow{1};  // a client that takes longer for a piece of its answer
constexpr std::size_t kMaxLateBody = 64u * 1024 * 1024;  // bytes

http::RequestHead upstream_read(const Request& request) {
  auto head = request::upstream_head(request.head());
  // Nothing may arrive that can't be parsed (CBOR); what the client prefers among the rest stays.
  // Documents are kept as they come: discovery has transforms of its own (APIGroupDiscoveryList).
  if (request.attributes.resource_request) {
    head.headers.set("accept", kube::restrict_accept(request.head().headers.joined("accept")));
  }
  return head;
}

// Gateways answer so when what is behind them is away; the API server itself when it is overloaded
// or shutting down.
bool stands_for_absence(unsigned status) {
  return status == 502 || status == 503 || status == 504;
}

Task<> answer_offline(ThreadContext& thread, std::shared_ptr<Request> request) {
  auto answer = OfflineAnswer::prepare(thread, *request);
  co_await answer.send(thread, request);
}

/// Content-Length, in bytes; empty: not told.
std::optional<std::uint64_t> announced_length(const http::ResponseHead& head) {
  const auto text = head.headers.get("content-length");
  std::uint64_t length = 0;
  const auto* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, length);
  if (text.empty() || read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return length;
}

// What an answer leaves behind, beside what its client gets of it.
class Aftermath {
 public:
  /// Once the head is there.
  static Task<std::shared_ptr<Aftermath>> create(ThreadContext& thread,
                                                 std::shared_ptr<Request> request,
                                                 const http::ResponseHead* head) {
    auto made = std::make_shared<Aftermath>();
    made->status_ = head->status;
    made->content_type_ = head->headers.get("content-type");
    note_status(thread, *request, head->status);
    // Whose answer it is: whoever it was when the cache was asked, it is learned with the
    // credential that the API server just took.
    if (head->status != 401) request->principal.reset();
    if (head->status == 200 || (made->remember() && head->status != 401)) {
      request->principal = co_await thread.principals.resolve(request, kReviewLimit);
    }
    if (was_authorized(head->status)) note_allowed(thread, *request);
    made->tee_ = Tee::create(thread, *request, *head);
    co_return made;
  }

  void feed(const Slice& piece) {
    if (tee_) tee_->feed(piece);
    if (remember() && refusal_.size() + piece.size() <= kMaxStatus) refusal_ += piece.view();
  }
  /// Once finished: what it is recorded as the answer to; empty: it is no list that is kept.
  [[nodiscard]] std::optional<cache::Query> query() const {
    return tee_ ? tee_->list_query() : std::nullopt;
  }
  [[nodiscard]] bool finished() const { return finished_; }
  /// The body is whole; the first call counts.
  static Task<> finish(ThreadContext& thread, std::shared_ptr<Request> request,
                       std::shared_ptr<Aftermath> self) {
    if (std::exchange(self->finished_, true)) co_return;
    if (self->tee_) co_await self->tee_->finish();
    if (self->remember()) {
      forget_refused(thread, *request, self->status_, self->content_type_,
                     std::move(self->refusal_));
    }
  }

 private:
  [[nodiscard]] bool remember() const { return is_refusal(status_); }

  unsigned status_ = 0;
  bool finished_ = false;
  std::string content_type_, refusal_;
  std::unique_ptr<Tee> tee_;
};

// `lead`: others wait for this answer, as long as its client takes it in time.
Task<> pass_on(ThreadContext& thread, std::shared_ptr<Request> request,
               std::shared_ptr<Attempt> attempt, std::unique_ptr<share::ListLead> lead) {
  auto head = std::move(**attempt->head);
  auto left = announced_length(head);
  const auto aftermath = co_await Aftermath::create(thread, request, &head);
  if (!co_await request->reply.head(std::move(head), false, Source::kUpstream)) co_return;
  while (true) {
    auto piece = co_await attempt->stream->read();
    // All of it is there, but for the word that it is.
    if (!piece && aftermath->finished()) break;
    if (!piece) {
      // Cut short: the client must not take it for the whole.
      request->reply.abort();
      co_return;
    }
    if (piece->empty()) break;
    aftermath->feed(*piece);
    if (left) *left -= std::min<std::uint64_t>(*left, piece->size());
    // Its last byte is the end for a client that knows how many there are: it is kept before.
    if (left == 0u) co_await Aftermath::finish(thread, request, aftermath);
    std::optional<Deadline> slow;
    if (lead) slow.emplace(thread.executor, kSlow, [&lead] { lead.reset(); });
    if (!co_await request->reply.write(std::move(*piece), false)) co_return;
  }
  co_await Aftermath::finish(thread, request, aftermath);
  auto query = aftermath->query();
  if (lead && query) lead->done(std::move(*query));
  co_await request->reply.write({}, true);
}

// The answers on this thread whose clients were served from the cache meanwhile: one per question.
class LateAnswer {
 public:
  static std::unique_ptr<LateAnswer> create(ThreadContext& thread, const Request& request) {
    thread_local std::set<std::string> all;
    const auto who = thread.services.identities.hash(request.credential);
    std::string key{reinterpret_cast<const char*>(who.bytes.data()), who.bytes.size()};
    key += document_key(request);
    if (all.size() >= kMaxLate || !all.insert(key).second) return nullptr;
    return std::unique_ptr<LateAnswer>{new LateAnswer{all, std::move(key)}};
  }
  LateAnswer(const LateAnswer&) = delete;
  LateAnswer& operator=(const LateAnswer&) = delete;
  ~LateAnswer() { all_.erase(key_); }

 private:
  static constexpr std::size_t kMaxLate = 32;
  LateAnswer(std::set<std::string>& all, std::string key) : all_{all}, key_{std::move(key)} {}
  std::set<std::string>& all_;
  std::string key_;
};

// The client has the cache's answer; that of the API server is still remembered. Else a server that
// is slower than our patience would never get a word in: a client whose watch is expired (410)
// would list the same old state for ever.
Task<> await_late(ThreadContext& thread, std::shared_ptr<Request> request,
                  std::shared_ptr<Attempt> attempt, std::unique_ptr<LateAnswer>) {
  const AttemptGuard guard{attempt};
  const Deadline deadline{thread.executor, kLateLimit, [attempt] {
                            attempt->abandon();
                            attempt->changed.notify_all();
                          }};
  while (!attempt->head && !attempt->abandoned()) co_await attempt->changed.wait();
  if (!attempt->head || !*attempt->head || stands_for_absence((*attempt->head)->status)) co_return;
  const auto head = std::move(**attempt->head);
  const auto aftermath = co_await Aftermath::create(thread, request, &head);
  std::size_t size = 0;
  while (true) {
    const auto piece = co_await attempt->stream->read();
    if (!piece) co_return;
    if (piece->empty()) break;
    size += piece->size();
    if (size > kMaxLateBody) co_return;
    aftermath->feed(*piece);
  }
  co_await Aftermath::finish(thread, request, aftermath);
}

}  // namespace

SteadyClock::duration patience(const ThreadContext& thread) {
  const auto measured = 4 * thread.services.link.snapshot().srtt;
  return std::max<SteadyClock::duration>(thread.config->cache.patience, measured);
}

Task<> serve_read(ThreadContext& thread, std::shared_ptr<Request> request) {
  if (thread.services.link.state() == upstream::Link::kOffline) {
    co_return co_await answer_offline(thread, request);
  }
  if (!request::may_go_up(*request)) co_return;
  // Who asks is found out while the request is under way.
  thread.principals.start(*request);
  std::unique_ptr<share::ListLead> lead;
  const bool shared = co_await serve_shared_list(thread, request, &lead);
  if (shared) co_return;
  const auto attempt = Attempt::start(thread, request, upstream_read(*request));
  AttemptGuard guard{attempt};
  while (!attempt->head) {
    if (co_await Attempt::wait(attempt, patience(thread))) continue;
    thread.pool.late(request->client->sticky);
    auto answer = OfflineAnswer::prepare(thread, *request);
    // Once the link is given up, "I don't know" is an answer too.
    const bool offline = thread.services.link.state() == upstream::Link::kOffline;
    if (!answer.certain() && !offline) continue;
    if (auto late = offline ? nullptr : LateAnswer::create(thread, *request)) {
      guard.release();
      // A request of its own: who it is from is learned anew.
      thread.nursery.spawn("late answer", await_late(thread, std::make_shared<Request>(*request),
                                                     attempt, std::move(late)));
    }
    co_return co_await answer.send(thread, request);
  }
  if (!*attempt->head) co_return co_await answer_offline(thread, request);
  if (stands_for_absence((*attempt->head)->status)) {
    auto answer = OfflineAnswer::prepare(thread, *request);
    if (answer.certain()) co_return co_await answer.send(thread, request);
  }
  co_await pass_on(thread, request, attempt, std::move(lead));
}

}  // namespace holdfast::read
