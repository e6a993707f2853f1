#include "writes/event_sender.h"

#include "holdfast/base/deadline.h"
#include "holdfast/telemetry/log.h"
#include "request/request.h"

namespace holdfast::writes {
namespace {

using namespace std::chrono_literals;
using request::ThreadContext;

constexpr auto kLook = 30s;         // between two looks at whether the owner is still there
constexpr auto kAnswerLimit = 30s;  // client-go gives a recorder's request about as much
constexpr auto kPause = 5s;         // after an answer that asks for patience
constexpr unsigned kTries = 5;

enum class Sent : std::uint8_t {
  kDone,     // it is there
  kRefused,  // and stays so: the namespace is gone, the object is not valid
  kStop,     // the credential is refused
  kLater,
};

Sent judge(unsigned status) {
  if (status / 100 == 2) return Sent::kDone;
  switch (status) {
    case 401:
      return Sent::kStop;
    case 409:  // names are unique: an earlier try arrived, though its answer did not
      return Sent::kDone;
    case 429:
      return Sent::kLater;
    default:
      return status >= 500 ? Sent::kLater : Sent::kRefused;
  }
}

Task<Sent> send(ThreadContext& thread, const KeptEvent& event, upstream::StickyServer& sticky) {
  auto opened = co_await thread.pool.open(event.identity, event.head, false, sticky);
  if (!opened) co_return Sent::kLater;
  const auto stream = std::move(*opened);
  const Deadline deadline{thread.executor, kAnswerLimit, [raw = stream.get()] { raw->cancel(); }};
  const auto written = co_await stream->write(Slice::copy(event.body), true);
  if (!written) co_return Sent::kLater;
  const auto head = co_await stream->response();
  if (!head) co_return Sent::kLater;
  request::note_credential(thread.services.identities, event.credential, head->status);
  while (true) {
    const auto piece = co_await stream->read();
    if (!piece || piece->empty()) break;
  }
  co_return judge(head->status);
}

struct Count {
  std::size_t sent = 0, refused = 0, dropped = 0;
};

void report(const Count& count) {
  if (count.sent + count.refused + count.dropped == 0) return;
  telemetry::log(spdlog::level::info, "Events that were kept while the link was down",
                 {{"sent", count.sent}, {"refused", count.refused}, {"dropped", count.dropped}});
}

}  // namespace

Task<> send_when_back(ThreadContext& thread, EventQueue& queue, EventQueue::Owner owner) {
  upstream::StickyServer sticky;
  Count count;
  while (true) {
    if (!queue.alive(owner)) {
      count.dropped += queue.forget(owner);
      break;
    }
    if (thread.services.link.state() != upstream::Link::kOnline) {
      co_await thread.link_changed.wait_for(kLook);
      continue;
    }
    auto event = queue.next(owner);
    if (!event) break;
    const auto outcome = co_await send(thread, *event, sticky);
    if (outcome == Sent::kDone) ++count.sent;
    if (outcome == Sent::kRefused) ++count.refused;
    if (outcome == Sent::kStop) {
      count.dropped += 1 + queue.forget(owner);
      break;
    }
    if (outcome != Sent::kLater) continue;
    if (++event->tries >= kTries) {
      ++count.refused;
      continue;
    }
    queue.give_back(owner, std::move(*event));
    co_await thread.link_changed.wait_for(kPause);
  }
  report(count);
}

}  // namespace holdfast::writes
