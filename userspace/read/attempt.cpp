#include "read/attempt.h"

namespace holdfast::read {
namespace {

constexpr int kTries = 3;
constexpr std::chrono::milliseconds kPause{100};

}  // namespace

std::shared_ptr<Attempt> Attempt::start(request::ThreadContext& thread,
                                        std::shared_ptr<request::Request> request,
                                        http::RequestHead head) {
  auto attempt = std::make_shared<Attempt>(thread.executor);
  thread.nursery.spawn("upstream read", run(thread, std::move(request), std::move(head), attempt));
  return attempt;
}

Task<> Attempt::run(request::ThreadContext& thread, std::shared_ptr<request::Request> request,
                    http::RequestHead head, std::shared_ptr<Attempt> attempt) {
  // A connection that the server closed just as we used it says nothing about the link: a read is
  // asked again, as Go's HTTP client does. Nor does one that can't be opened in the moment in
  // which the link comes back.
  std::optional<Result<http::ResponseHead>> outcome;
  for (int tries = 0; tries < kTries; ++tries) {
    if (outcome && !attempt->stream) {
      Timer moment{thread.executor, kPause};
      co_await moment.async_wait(use_task);
      if (attempt->abandoned_) co_return;
    }
    auto stream =
        co_await thread.pool.open(request->client->identity, head, true, request->client->sticky);
    if (attempt->abandoned_) co_return;
    if (!stream) {
      outcome = stream.error();
      attempt->stream.reset();
      if (thread.services.link.state() == upstream::Link::kOffline) break;
      continue;
    }
    attempt->stream = std::move(*stream);
    auto response = co_await attempt->stream->response();
    if (attempt->abandoned_) co_return;
    outcome = std::move(response);
    if (*outcome || thread.services.link.state() == upstream::Link::kOffline) break;
  }
  if (!*outcome) attempt->stream.reset();
  // Only now: whoever looks must not take a first try that failed for the outcome.
  attempt->head = std::move(outcome);
  attempt->changed.notify_all();
}

Task<bool> Attempt::wait(std::shared_ptr<Attempt> attempt, SteadyClock::duration patience) {
  const auto began = SteadyClock::now();
  const auto heard = [&] { return attempt->stream && attempt->stream->last_received() >= began; };
  co_await attempt->changed.wait_for(patience / 2);
  if (attempt->head) co_return true;
  if (attempt->stream && !heard()) attempt->stream->nudge();
  co_await attempt->changed.wait_for(patience / 2);
  co_return attempt->head || heard();
}

void Attempt::abandon() {
  abandoned_ = true;
  if (stream) stream->cancel();
}

}  // namespace holdfast::read
