#include "read/shared_list.h"

#include "holdfast/base/answer.h"
#include "read/offline_answer.h"
#include "read/refusal.h"
#include "read/tee.h"
#include "share/key.h"
#include "share/shared.h"

namespace holdfast::read {
namespace {

using namespace std::chrono_literals;
using request::Request;
using request::ThreadContext;

constexpr auto kReviewLimit = 2s;
constexpr auto kGlance = 1s;  // at the link, while another one's list is on its way
constexpr int kTurns = 3;     // whose list is waited for, one after another

std::string key_of(const ThreadContext& thread, const Request& request) {
  const auto& attributes = request.attributes;
  const auto& options = attributes.options;
  const bool any_state = options.resource_version == "0" &&
                         options.match != kube::ResourceVersionMatch::kExact &&
                         options.continue_token.empty();
  if (!any_state || attributes.verb != kube::Verb::kList || keep_of(request) != Keep::kList ||
      !thread.config->cache.share || thread.services.link.state() != upstream::Link::kOnline) {
    return {};
  }
  return share::key_of(request, request.accept.front().representation);
}

// Whether `request` may have what `from` was shown, and has it now.
Task<bool> grant(ThreadContext& thread, std::shared_ptr<Request> request, cache::Query from) {
  if (!request->principal) {
    request->principal = co_await thread.principals.resolve(request, kReviewLimit);
  }
  if (!request->principal) co_return false;
  auto to = request::query_of(*request, *request->principal, from.representation);
  if (!to) co_return false;
  const auto reviewed =
      co_await thread.reviews.review(request, kube::Verb::kList, thread.config->cache.review_ttl);
  if (reviewed.access != request::Access::kAllowed) co_return false;
  note_allowed(thread, *request);
  const auto floor = thread.services.store.floor(to->principal, to->gvr);
  Answer<bool> shared{thread.executor};
  thread.services.store.share_list(std::move(from), std::move(*to), floor, request->record,
                                   shared.callback());
  co_return co_await shared.wait();
}

Task<bool> answer(ThreadContext& thread, std::shared_ptr<Request> request, cache::Query from) {
  const bool granted = co_await grant(thread, request, std::move(from));
  if (!granted) co_return false;
  auto answer = OfflineAnswer::prepare(thread, *request);
  if (!answer.certain()) co_return false;
  co_await answer.send(thread, request);
  co_return true;
}

// Null: another one is to be waited for, or asked first.
Task<std::optional<cache::Query>> wait_for(ThreadContext& thread,
                                           std::shared_ptr<share::ListUnderWay> list) {
  const auto event = std::make_shared<Event>(thread.executor);
  list->tell(thread.executor, event);
  while (!list->is_done()) {
    if (thread.services.link.state() == upstream::Link::kOffline) co_return std::nullopt;
    co_await event->wait_for(kGlance);
  }
  co_return list->query();
}

}  // namespace

Task<bool> serve_shared_list(ThreadContext& thread, std::shared_ptr<Request> request,
                             std::unique_ptr<share::ListLead>* lead) {
  const auto key = key_of(thread, *request);
  if (key.empty()) co_return false;
  auto& shared = thread.services.shared;
  if (const auto hub = shared.hubs.find(key)) {
    auto query = hub->query();
    if (query) {
      const bool answered = co_await answer(thread, request, std::move(*query));
      if (answered) co_return true;
    }
  }
  for (int turn = 0; turn < kTurns; ++turn) {
    std::shared_ptr<share::ListUnderWay> list;
    *lead = shared.lists.lead(key, list);
    if (*lead) co_return false;
    auto query = co_await wait_for(thread, std::move(list));
    if (!query) continue;
    co_return co_await answer(thread, request, std::move(*query));
  }
  co_return false;
}

}  // namespace holdfast::read
