#include "lease/call.h"

#include <algorithm>
#include <utility>

#include "read/read.h"

namespace holdfast::lease {
namespace {

constexpr std::size_t kMaxAnswer = 4 * 1024 * 1024;  // bytes; etcd takes objects of 1.5 MiB

}  // namespace

std::shared_ptr<Call> Call::start(request::ThreadContext& thread, upstream::Identity identity,
                                  upstream::StickyServer sticky, http::RequestHead head,
                                  std::string body) {
  auto call = std::make_shared<Call>(thread.executor);
  call->sticky = std::move(sticky);
  thread.nursery.spawn("lease request",
                       run(thread, std::move(identity), std::move(head), std::move(body), call));
  return call;
}

Task<> Call::run(request::ThreadContext& thread, upstream::Identity identity,
                 http::RequestHead head, std::string body, std::shared_ptr<Call> call) {
  auto outcome =
      co_await exchange(thread, std::move(identity), std::move(head), std::move(body), call);
  call->stream_.reset();
  call->outcome = std::move(outcome);
  call->changed.notify_all();
}

Task<Result<Call::Answer>> Call::exchange(request::ThreadContext& thread,
                                          upstream::Identity identity, http::RequestHead head,
                                          std::string body, std::shared_ptr<Call> call) {
  auto opened =
      co_await thread.pool.open(std::move(identity), std::move(head), body.empty(), call->sticky);
  if (!opened) co_return opened.error();
  if (call->abandoned_) co_return make_error(Errc::kCancelled);
  call->sent = true;
  call->stream_ = std::move(*opened);
  if (!body.empty()) {
    // A server that answered early need not read it all: its answer counts.
    (void)co_await call->stream_->write(Slice::own(std::move(body)), true);
  }
  auto response = co_await call->stream_->response();
  if (!response) co_return response.error();
  Answer answer{.head = std::move(*response), .body = {}};
  while (true) {
    const auto piece = co_await call->stream_->read();
    if (!piece) co_return piece.error();
    if (piece->empty()) co_return answer;
    if (answer.body.size() + piece->size() > kMaxAnswer) co_return make_error(Errc::kTooLarge);
    answer.body += piece->view();
  }
}

void Call::abandon() {
  abandoned_ = true;
  if (stream_) stream_->cancel();
}

bool Call::silent_since(SteadyClock::time_point time) const {
  return stream_ && stream_->last_received() < time;
}

void Call::close_connection() {
  if (stream_) stream_->close_connection();
}

http::RequestHead asking_head(http::RequestHead head) {
  head.method = "GET";
  head.target = head.target.substr(0, head.target.find('?'));
  head.headers.remove("content-type");
  head.headers.remove("content-length");
  return head;
}

Task<bool> wait_for_answer(request::ThreadContext& thread, std::shared_ptr<Call> call,
                           SteadyClock::duration limit) {
  constexpr std::chrono::milliseconds kLook{250};
  const auto began = SteadyClock::now();
  bool suspected = false;
  while (!call->outcome) {
    const auto now = SteadyClock::now();
    const bool offline = thread.services.link.state() == upstream::Link::kOffline;
    if (now - began >= limit || offline) co_return false;
    if (!suspected && now - began >= read::patience(thread)) {
      suspected = true;
      thread.services.link.patience_expired();
    }
    const auto left = std::min<SteadyClock::duration>(limit - (now - began), kLook);
    co_await call->changed.wait_for(left);
  }
  co_return true;
}

}  // namespace holdfast::lease
