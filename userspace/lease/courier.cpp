#include "lease/courier.h"

#include <memory>
#include <utility>

#include "lease/book.h"
#include "lease/call.h"
#include "lease/outcome.h"
#include "request/client.h"

namespace holdfast::lease {
namespace {

using namespace std::chrono_literals;
using request::Client;
using request::ThreadContext;

constexpr auto kLook = 200ms;
constexpr auto kAskLimit = 5s;

http::RequestHead put_head(const Delivery& delivery) {
  auto head = delivery.holder.head;
  head.headers.set("content-type", kube::content_type(delivery.encoding, false));
  head.headers.set("content-length", std::to_string(delivery.body.size()));
  return head;
}

/// An earlier renewal was sent and its connection broke: what became of it is found out first.
class Asking {
 public:
  Asking(Book& book, const Delivery& delivery, std::shared_ptr<Call> call)
      : book_{book}, delivery_{delivery}, call_{std::move(call)} {}
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;
  ~Asking() {
    call_->abandon();
    book_.undelivered(delivery_, how_);
  }
  void answered() { how_ = Undelivered::kAsked; }

 private:
  Book& book_;
  const Delivery& delivery_;
  std::shared_ptr<Call> call_;
  Undelivered how_ = Undelivered::kLater;
};

Task<> ask(ThreadContext& thread, Delivery delivery, std::shared_ptr<const Client> client) {
  auto& book = thread.services.leases;
  const auto call =
      Call::start(thread, client->identity, client->sticky, asking_head(delivery.holder.head), {});
  Asking asking{book, delivery, call};
  if (!co_await wait_for_answer(thread, call, kAskLimit) || !*call->outcome) co_return;
  const auto& answer = **call->outcome;
  kube::Encoding encoding{};
  bool stream = false;
  if (answer.head.status != 200 ||
      !kube::parse_content_type(answer.head.headers.get("content-type"), encoding, stream)) {
    co_return;
  }
  if (auto real = parse_lease(encoding, answer.body)) {
    book.observed(delivery.key, std::move(*real), encoding, answer.body, std::nullopt);
    asking.answered();
  }
}

void send(ThreadContext& thread, Delivery delivery) {
  auto client = std::static_pointer_cast<const Client>(delivery.holder.connection.lock());
  if (!client || !client->may_forward) {
    thread.services.leases.undelivered(delivery, Undelivered::kLater);
    return;
  }
  if (delivery.ask_first) {
    thread.nursery.spawn("lease question", ask(thread, std::move(delivery), std::move(client)));
    return;
  }
  auto credential = identity::credential_of(delivery.holder.head.headers.get("authorization"),
                                            client->certificate);
  auto call =
      Call::start(thread, client->identity, client->sticky, put_head(delivery), delivery.body);
  thread.nursery.spawn("lease renewal", await_outcome(thread, std::move(call), std::move(delivery),
                                                      std::move(credential)));
}

}  // namespace

Task<> run_courier(ThreadContext& thread) {
  Timer timer{thread.executor};
  while (true) {
    if (thread.services.link.state() == upstream::Link::kOnline) {
      for (auto& delivery : thread.services.leases.due(&thread)) send(thread, std::move(delivery));
    }
    timer.expires_after(kLook);
    co_await timer.async_wait(use_task);
  }
}

}  // namespace holdfast::lease
