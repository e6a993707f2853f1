#include "lease/steer.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "holdfast/kube/status_reasons.h"
#include "holdfast/policy/lease.h"
#include "holdfast/telemetry/log.h"
#include "lease/book.h"
#include "lease/call.h"
#include "lease/outcome.h"
#include "read/offline_answer.h"
#include "read/refusal.h"

namespace holdfast::lease {
namespace {

using namespace std::chrono_literals;
using config::LeasePolicy;
using request::Request;
using request::ThreadContext;
using telemetry::LeaseOutcome;
using telemetry::Source;

/// The API server's own limit (k8s.io/apiserver/pkg/server, MaxRequestBodyBytes).
constexpr std::size_t kMaxBody = 3 * 1024 * 1024;
constexpr auto kReviewLimit = 2s;
/// Of a request that nobody cancels; client-go's Lease controller gives up after 10 s.
constexpr auto kAnswerLimit = 60s;
constexpr auto kAskLimit = 5s;
/// Until what is under way of the same Lease has ended.
constexpr auto kTurnLimit = 8s;

telemetry::LeasePolicy label_of(LeasePolicy policy) {
  switch (policy) {
    case LeasePolicy::kHold:
      return telemetry::LeasePolicy::kHold;
    case LeasePolicy::kCoalesce:
      return telemetry::LeasePolicy::kCoalesce;
    case LeasePolicy::kLocal:
      return telemetry::LeasePolicy::kLocal;
    case LeasePolicy::kAuto:
    case LeasePolicy::kForward:
      break;
  }
  return telemetry::LeasePolicy::kForward;
}

/// A body that can be looked into: of a known encoding, and not compressed.
std::optional<kube::Encoding> encoding_of(const http::Headers& headers) {
  kube::Encoding encoding{};
  bool stream = false;
  if (headers.has("content-encoding")) return std::nullopt;
  if (!kube::parse_content_type(headers.get("content-type"), encoding, stream)) {
    return std::nullopt;
  }
  return encoding;
}

/// One request on its way.
class Steering {
 public:
  Steering(ThreadContext& thread, std::shared_ptr<Request> request)
      : thread_{thread},
        request_{std::move(request)},
        book_{thread.services.leases},
        key_{.ns = request_->attributes.ns, .name = request_->attributes.name} {}

  Task<> run() {
    if (!co_await read_body()) co_return;
    const bool update = request_->attributes.verb == kube::Verb::kUpdate;
    if (update && !request_->attributes.dry_run) {
      if (const auto encoding = encoding_of(request_->head().headers)) {
        auto wanted = parse_lease(*encoding, body_);
        if (wanted) {
          wanted_ = std::move(*wanted);
          encoding_ = *encoding;
        }
      }
    }
    terms_ = terms();
    if (wanted_) {
      co_await put();
    } else if (is_offline() && request_->attributes.verb == kube::Verb::kGet) {
      co_await get_offline();
    } else {
      co_await pass(body_);
    }
  }

 private:
  [[nodiscard]] bool is_offline() const {
    return thread_.services.link.state() == upstream::Link::kOffline;
  }

  Task<bool> read_body() {
    const auto& head = request_->head();
    if (head.method == "GET" || head.method == "HEAD") co_return true;
    while (true) {
      const auto piece = co_await request_->exchange->read();
      if (!piece) co_return false;
      if (piece->empty()) co_return true;
      if (body_.size() + piece->size() > kMaxBody) {
        kube::Status status{.code = 413,
                            .reason = "RequestEntityTooLarge",
                            .message = "Request entity too large: limit is 3145728"};
        co_await request_->reply.status(request_->error_encoding(), std::move(status),
                                        Source::kLocal);
        co_return false;
      }
      body_ += piece->view();
    }
  }

  [[nodiscard]] Terms terms() const {
    const auto& client = *request_->client;
    const auto holder = wanted_ ? wanted_->holder : book_.holder(key_);
    const policy::LeaseContext context{
        .ns = key_.ns,
        .name = key_.name,
        .holder = holder,
        .executable = client.process.executable,
        .pod = client.pod ? std::string_view{client.pod->name} : std::string_view{}};
    return {.policy = policy::lease_policy(context, thread_.config->lease),
            .interval = thread_.config->lease.interval};
  }

  void count(LeaseOutcome outcome) const {
    thread_.services.metrics.lease_request(label_of(terms_.policy), outcome);
  }

  // Who asks, as far as it is known now; never waits.
  [[nodiscard]] Who who() const {
    const auto known = thread_.services.identities.find(request_->credential);
    if (!known) return std::nullopt;
    return identity::with_impersonation(*known, request_->attributes.impersonation).id();
  }

  // An answer of our own needs the encoding of what it is made from.
  [[nodiscard]] bool accepts(kube::Encoding encoding) const {
    return std::ranges::any_of(request_->accept, [encoding](const kube::AcceptChoice& choice) {
      return choice.representation.encoding == encoding &&
             choice.representation.transform == kube::Transform::kNone;
    });
  }

  Task<> put() {
    auto verdict = judge(!is_offline());
    for (const auto began = SteadyClock::now();
         verdict.wait && SteadyClock::now() - began < kTurnLimit; verdict = judge(!is_offline())) {
      Timer moment{thread_.executor, 20ms};
      co_await moment.async_wait(use_task);
    }
    if (verdict.ask_first) {
      co_await ask();
      verdict = judge(!is_offline());
    }
    const Ending ending{book_, key_, verdict};
    if (verdict.answer == Verdict::Answer::kAcknowledge) {
      if (is_offline()) {
        const bool holds = co_await credential_holds();
        if (!holds) co_return;
      }
      co_return co_await acknowledge(verdict);
    }
    if (verdict.answer == Verdict::Answer::kRefuse) co_return co_await refuse();
    std::string body = body_;
    if (verdict.resource_version != 0) {
      if (auto edited = with_resource_version(encoding_, body_, verdict.resource_version)) {
        body = std::move(*edited);
        sent_version_ = verdict.resource_version;
      }
    }
    if (sent_version_ == 0) sent_version_ = wanted_->resource_version;
    co_await pass(std::move(body));
  }

  [[nodiscard]] Verdict judge(bool online) const {
    auto terms = terms_;
    if (!accepts(encoding_)) terms.policy = LeasePolicy::kForward;
    return book_.put(key_, *wanted_, who(), terms, online);
  }

  // Offline, a renewal is taken only from who proves to be the holder still.
  Task<bool> credential_holds() {
    auto checked = read::offline_principal(thread_, *request_);
    auto* status = std::get_if<kube::Status>(&checked);
    if (!status) co_return true;
    count(LeaseOutcome::kRefused);
    co_await request_->reply.status(request_->error_encoding(), std::move(*status), Source::kLocal);
    co_return false;
  }

  Task<> acknowledge(Verdict verdict) {
    std::string body = body_;
    if (verdict.resource_version != 0) {
      if (auto edited = with_resource_version(encoding_, body_, verdict.resource_version)) {
        body = std::move(*edited);
      }
    }
    book_.acknowledged(key_, *wanted_,
                       {.connection = request_->client,
                        .thread = &thread_,
                        .head = request::upstream_head(request_->head())},
                       terms_);
    count(LeaseOutcome::kAcknowledged);
    co_await answer(encoding_, std::move(body));
  }

  // A whole answer of our own.
  Task<> answer(kube::Encoding encoding, std::string body) {
    http::ResponseHead head{.status = 200};
    head.headers.add("content-type", kube::content_type(encoding, false));
    head.headers.add("content-length", std::to_string(body.size()));
    head.headers.add("cache-control", "no-cache, private");
    if (!co_await request_->reply.head(std::move(head), false, Source::kLease)) co_return;
    co_await request_->reply.write(Slice::own(std::move(body)), true);
  }

  Task<> refuse() {
    count(LeaseOutcome::kRefused);
    co_await request_->reply.status(request_->error_encoding(), read::link_down(thread_),
                                    Source::kLocal);
  }

  // What the holder has, an acknowledged renewal included.
  Task<> get_offline() {
    if (!co_await credential_holds()) co_return;
    const auto view = terms_.policy == LeasePolicy::kForward ? std::optional<Book::View>{}
                                                             : book_.view(key_, who());
    if (!view || !accepts(view->encoding)) co_return co_await refuse();
    count(LeaseOutcome::kAcknowledged);
    co_await answer(view->encoding, shown(*view));
  }

  static std::string shown(const Book::View& view) {
    if (!view.acknowledged) return view.body;
    auto body = with_renew_time(view.encoding, view.body, *view.acknowledged);
    return body ? std::move(*body) : view.body;
  }

  // A PUT was sent and never answered: what the API server made of it is found out before another
  // one is sent, which would meet a conflict with the first.
  Task<> ask() {
    const auto call = Call::start(thread_, request_->client->identity, request_->client->sticky,
                                  asking_head(request::upstream_head(request_->head())), {});
    const Guard guard{call};
    if (!co_await wait_for_answer(thread_, call, kAskLimit) || !*call->outcome) co_return;
    const auto& answer = **call->outcome;
    const auto encoding = encoding_of(answer.head.headers);
    if (answer.head.status != 200 || !encoding) co_return;
    if (auto real = parse_lease(*encoding, answer.body)) {
      report(book_.observed(key_, std::move(*real), *encoding, answer.body, std::nullopt));
    }
  }

  Task<> pass(std::string body) {
    if (is_offline()) co_return co_await refuse();
    thread_.principals.start(*request_);
    auto head = request::upstream_head(request_->head());
    if (head.headers.has("content-length")) {
      head.headers.set("content-length", std::to_string(body.size()));
    }
    auto& client = *request_->client;
    const auto call =
        Call::start(thread_, client.identity, client.sticky, std::move(head), std::move(body));
    const Guard guard{call, wanted_ ? this : nullptr};
    const bool answered = co_await wait_for_answer(thread_, call, kAnswerLimit);
    if (!answered || !*call->outcome) co_return co_await unanswered(call);
    client.sticky = call->sticky;
    co_await settle(std::move(**call->outcome));
  }

  // Nobody knows whether it was carried out; where it was not even sent, it was not.
  Task<> unanswered(std::shared_ptr<Call> call) {
    const bool offline = is_offline();
    if (!offline && call->sent) {
      request_->reply.abort();
      co_return;
    }
    if (offline && request_->attributes.verb == kube::Verb::kGet) co_return co_await get_offline();
    if (!wanted_) co_return co_await refuse();
    const auto verdict = judge(false);
    if (verdict.answer != Verdict::Answer::kAcknowledge) co_return co_await refuse();
    if (!co_await credential_holds()) co_return;
    co_await acknowledge(verdict);
  }

  Task<> settle(Call::Answer answer) {
    const auto status = answer.head.status;
    read::note_status(thread_, *request_, status);
    co_await learn(answer);
    count(status == 409 ? LeaseOutcome::kConflict : LeaseOutcome::kForwarded);
    auto& reply = request_->reply;
    const bool end = answer.body.empty();  // HEAD, too
    if (!end) answer.head.headers.set("content-length", std::to_string(answer.body.size()));
    if (!co_await reply.head(std::move(answer.head), end, Source::kUpstream) || end) co_return;
    co_await reply.write(Slice::own(std::move(answer.body)), true);
  }

  // What the answer says of the Lease; where a renewal is acknowledged that the API server does not
  // have yet, the holder is shown that one.
  Task<> learn(Call::Answer& answer) {
    const auto verb = request_->attributes.verb;
    const auto status = answer.head.status;
    if (request_->attributes.dry_run) co_return;
    if (wanted_ && status == 409) {
      report(book_.conflict(key_, sent_version_));
      co_return;
    }
    if (status == 404 || (verb == kube::Verb::kDelete && status / 100 == 2)) {
      book_.forget(key_);
      co_return;
    }
    const auto encoding = encoding_of(answer.head.headers);
    if (status / 100 != 2 || !encoding || verb == kube::Verb::kDelete) co_return;
    auto real = parse_lease(*encoding, answer.body);
    if (!real) co_return;
    auto principal = co_await thread_.principals.resolve(request_, kReviewLimit);
    if (!principal) co_return;
    const Who holder = principal->id();
    if (verb == kube::Verb::kGet) {
      report(book_.observed(key_, std::move(*real), *encoding, answer.body, holder));
    } else {
      if (key_.name.empty()) key_.name = name_in(*encoding, answer.body);
      book_.written(key_, std::move(*real), *encoding, answer.body, holder);
    }
    if (const auto view = book_.view(key_, holder); view && view->acknowledged) {
      answer.body = shown(*view);
    }
  }

  static std::string name_in(kube::Encoding encoding, const std::string& body) {
    const auto object = kube::parse_object(encoding, Slice::copy(body));
    return object ? object->meta.name : std::string{};
  }

  // Told once for each Lease; counted every time.
  void report(Foreign foreign) const {
    if (foreign == Foreign::kNone) return;
    thread_.services.metrics.lease_foreign_write();
    if (foreign == Foreign::kAgain) return;
    telemetry::log(spdlog::level::warn,
                   "someone else writes a Lease that is renewed from this node: every renewal may "
                   "meet a conflict",
                   {{"namespace", key_.ns}, {"name", key_.name}});
  }

  /// A PUT that `put` let go ends once, however it does.
  struct Ending {
    Ending(Book& b, const LeaseKey& k, const Verdict& v)
        : book{b},
          key{k},
          forwarded{v.answer == Verdict::Answer::kForward && !v.wait && !v.ask_first} {}
    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;
    ~Ending() {
      if (forwarded) book.ended(key);
    }
    Book& book;
    const LeaseKey& key;
    const bool forwarded;
  };

  /// Whoever stops waiting, the client's own time-out included, ends the request upstream; but a
  /// renewal that was sent is waited for.
  struct Guard {
    explicit Guard(std::shared_ptr<Call> c, Steering* r = nullptr)
        : call{std::move(c)}, renewal{r} {}
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard() {
      if (renewal && call->sent && !(call->outcome && *call->outcome)) {
        renewal->leave_behind(std::move(call));
      } else {
        call->abandon();
      }
    }
    std::shared_ptr<Call> call;
    Steering* renewal;  ///< null: no PUT
  };

  void leave_behind(std::shared_ptr<Call> call) {
    thread_.nursery.spawn("lease renewal",
                          await_outcome(thread_, std::move(call), book_.orphaned(key_, *wanted_),
                                        request_->credential));
  }

  ThreadContext& thread_;
  std::shared_ptr<Request> request_;
  Book& book_;
  LeaseKey key_;
  std::string body_;
  std::optional<LeaseObject> wanted_;  ///< what a full PUT wants the Lease to be
  kube::Encoding encoding_{};          ///< of `wanted_`
  kube::ResourceVersion sent_version_ = 0;
  Terms terms_;
};

}  // namespace

bool concerns_one_lease(const kube::RequestAttributes& attributes) {
  using kube::Verb;
  if (!attributes.subresource.empty() || attributes.ns.empty()) return false;
  switch (attributes.verb) {
    case Verb::kCreate:
      return true;
    case Verb::kGet:
    case Verb::kUpdate:
    case Verb::kPatch:
    case Verb::kDelete:
      return !attributes.name.empty();
    default:
      return false;
  }
}

Task<> serve_lease(ThreadContext& thread, std::shared_ptr<Request> request) {
  Steering steering{thread, std::move(request)};
  co_await steering.run();
}

}  // namespace holdfast::lease
