#include "lease/outcome.h"

#include <utility>

#include "holdfast/telemetry/log.h"
#include "request/request.h"

namespace holdfast::lease {
namespace {

using namespace std::chrono_literals;

/// HTTP/2 connections that say nothing are closed sooner; one of HTTP/1.1 may be waited for longer.
constexpr auto kLongest = 60s;

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
  while (!call->outcome && SteadyClock::now() < limit) {
    co_await call->changed.wait_for(limit - SteadyClock::now());
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
