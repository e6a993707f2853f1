#include "read/read.h"

#include <algorithm>

#include "read/attempt.h"
#include "read/offline_answer.h"
#include "read/refusal.h"
#include "read/tee.h"

namespace holdfast::read {
namespace {

using request::Request;
using request::ThreadContext;
using telemetry::Source;

constexpr std::size_t kMaxStatus = 64 * 1024;  // bytes of a 404's body that are remembered
constexpr std::chrono::seconds kReviewLimit{2};

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

Task<> pass_on(ThreadContext& thread, std::shared_ptr<Request> request,
               std::shared_ptr<Attempt> attempt) {
  auto head = std::move(**attempt->head);
  const unsigned status = head.status;
  note_status(thread, *request, status);
  const bool remember = is_refusal(status);
  // Whose answer it is: whoever it was when the cache was asked, it is learned with the credential
  // that the API server just took.
  if (status != 401) request->principal.reset();
  if (status == 200 || (remember && status != 401)) {
    request->principal = co_await thread.principals.resolve(request, kReviewLimit);
  }
  auto tee = Tee::create(thread, *request, head);
  const std::string content_type{head.headers.get("content-type")};
  std::string refusal;
  if (!co_await request->reply.head(std::move(head), false, Source::kUpstream)) co_return;
  while (true) {
    auto piece = co_await attempt->stream->read();
    if (!piece) {
      // Cut short: the client must not take it for the whole.
      request->reply.abort();
      co_return;
    }
    if (piece->empty()) break;
    if (tee) tee->feed(*piece);
    if (remember && refusal.size() + piece->size() <= kMaxStatus) refusal += piece->view();
    if (!co_await request->reply.write(std::move(*piece), false)) co_return;
  }
  if (tee) co_await tee->finish();
  if (remember) forget_refused(thread, *request, status, content_type, std::move(refusal));
  co_await request->reply.write({}, true);
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
  // Who asks is found out while the request is under way.
  thread.principals.start(*request);
  const auto attempt = Attempt::start(thread, request, upstream_read(*request));
  const AttemptGuard guard{attempt};
  while (!attempt->head) {
    if (co_await attempt->changed.wait_for(patience(thread))) continue;
    if (attempt->head) break;
    thread.pool.late(request->client->sticky);
    auto answer = OfflineAnswer::prepare(thread, *request);
    // Once the link is given up, "I don't know" is an answer too.
    if (answer.certain() || thread.services.link.state() == upstream::Link::kOffline) {
      co_return co_await answer.send(thread, request);
    }
  }
  if (!*attempt->head) co_return co_await answer_offline(thread, request);
  if (stands_for_absence((*attempt->head)->status)) {
    auto answer = OfflineAnswer::prepare(thread, *request);
    if (answer.certain()) co_return co_await answer.send(thread, request);
  }
  co_await pass_on(thread, request, attempt);
}

}  // namespace holdfast::read
