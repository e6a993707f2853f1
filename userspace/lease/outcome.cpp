#include "lease/outcome.h"

#include <optional>
#include <utility>

#include "holdfast/telemetry/log.h"
#include "request/request.h"

namespace holdfast::lease {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 100ms;
/// HTTP/2 connections that say nothing are closed sooner; one of HTTP/1.1 may be waited for longer.
constexpr auto kLongest = 60s;
/// What a connection may take to speak again when the link is back. One that lost its packets in a
/// cut sends them again only after as long a time as the cut took (RFC 6298, section 5.5), and a
/// node may be given up by then.
constexpr auto kRecovery = 400ms;

/// Whether the link was away while somebody waited, and since when it is back.
class Return {
 public:
  explicit Return(const upstream::LinkMonitor& link) : link_{link} {}
  /// Null: it was never away, or is still.
  std::optional<SteadyClock::time_point> since() {
    const bool online = link_.state() == upstream::Link::kOnline;
    away_ = away_ || !online;
    if (!online) since_.reset();
    if (online && away_ && !since_) since_ = SteadyClock::now();
    return since_;
  }

 private:
  const upstream::LinkMonitor& link_;
  bool away_ = false;
  std::optional<SteadyClock::time_point> since_;
};

/// However it ends, the book is told once.
class Telling {
 public:
  Telling(Book& book, const Delivery& delivery, std::shared_ptr<Call> call)
      : book_{book}, delivery_{delivery}, call_{std::move(call)} {}
  Telling(const Telling&) = delete;
  Telling& operator=(const Telling&) = delete;
  ~Telling() {
    call_->abandon();
    if (told_) return;
    const bool answered = call_->outcome && *call_->outcome;
    const bool unanswered = call_->sent && !answered;
    book_.undelivered(delivery_, unanswered ? Undelivered::kUnanswered : how_);
  }

  void refused() { how_ = Undelivered::kRefused; }
  void taken(LeaseObject real, kube::Encoding encoding, std::string body) {
    told_ = true;
    book_.delivered(delivery_, std::move(real), encoding, std::move(body));
  }

 private:
  Book& book_;
  const Delivery& delivery_;
  std::shared_ptr<Call> call_;
  Undelivered how_ = Undelivered::kLater;
  bool told_ = false;
};

}  // namespace

Task<> await_outcome(request::ThreadContext& thread, std::shared_ptr<Call> call, Delivery delivery,
                     identity::Credential credential) {
  Telling telling{thread.services.leases, delivery, call};
  const auto limit = SteadyClock::now() + kLongest;
  Return back{thread.services.link};
  while (!call->outcome && SteadyClock::now() < limit) {
    co_await call->changed.wait_for(kLook);
    const auto since = back.since();
    if (since && SteadyClock::now() - *since >= kRecovery && call->silent_since(*since)) {
      call->close_connection();
    }
  }
  if (!call->outcome || !*call->outcome) co_return;
  const auto& answer = **call->outcome;
  const auto status = answer.head.status;
  request::note_credential(thread.services.identities, credential, status);
  if (status == 429 || status / 100 == 5) co_return;  // later
  kube::Encoding encoding{};
  bool stream = false;
  const bool readable =
      status / 100 == 2 &&
      kube::parse_content_type(answer.head.headers.get("content-type"), encoding, stream);
  auto real = readable ? parse_lease(encoding, answer.body)
                       : Result<LeaseObject>{make_error(Errc::kRefused)};
  if (real) {
    telling.taken(std::move(*real), encoding, answer.body);
    co_return;
  }
  telemetry::log(spdlog::level::info, "a Lease's renewal was refused",
                 {{"namespace", delivery.key.ns},
                  {"name", delivery.key.name},
                  {"code", static_cast<std::uint64_t>(status)}});
  telling.refused();
}

}  // namespace holdfast::lease
