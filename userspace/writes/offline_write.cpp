#include "writes/offline_write.h"

#include <algorithm>

#include "read/offline_answer.h"
#include "writes/event_object.h"
#include "writes/event_sender.h"
#include "writes/shared.h"

namespace holdfast::writes {
namespace {

using namespace std::chrono_literals;
using request::Request;
using request::ThreadContext;

constexpr std::size_t kMaxBody =
    256 * 1024;  // bytes; an Event or a TokenRequest has one or two KiB
constexpr std::chrono::seconds kReviewLimit{2};
// A suspect link is online or offline again within about three seconds (LinkOptions).
constexpr auto kSettle = 4s;

bool accepts(const Request& request, kube::Encoding encoding) {
  return std::ranges::any_of(request.accept, [encoding](const kube::AcceptChoice& choice) {
    return choice.representation == kube::Representation{.encoding = encoding};
  });
}

std::int64_t unix_seconds(const ThreadContext& thread) {
  return std::chrono::system_clock::to_time_t(thread.services.clock.wall());
}

/// A kubelet's serviceaccounts/token. Asking again changes nothing: an answer from before is as
/// good after the request was sent as it was before.
class TokenWrite final : public OfflineWrite {
 public:
  using OfflineWrite::OfflineWrite;
  [[nodiscard]] bool repeatable() const override { return true; }
  [[nodiscard]] bool learns() const override { return true; }

  Task<> answered(unsigned status, kube::Encoding encoding, std::optional<Slice> body) override {
    const bool refused = status / 100 == 4 && status != 429;
    if (status / 100 != 2 && !refused) co_return;
    if (!request_->principal) {
      request_->principal = co_await thread_.principals.resolve(request_, kReviewLimit);
    }
    const auto name = name_of(request_->principal);
    if (!name) co_return;
    auto& tokens = thread_.services.writes.tokens;
    if (refused) {
      tokens.forget(*name);
    } else if (auto answer = body ? read_token_answer(encoding, std::move(*body)) : std::nullopt) {
      tokens.keep(*name, std::move(*answer), request_->record.residence);
    }
  }

 private:
  // Whose answer it will be is found out while the request is under way.
  Task<> settle() override {
    if (thread_.services.link.state() != upstream::Link::kOffline) {
      thread_.principals.start(*request_);
    }
    co_return;
  }

  std::optional<Answer> find(const identity::Principal& principal) override {
    const auto name = name_of(principal);
    if (!name) return std::nullopt;
    const auto kept = thread_.services.writes.tokens.find(*name, request_->record.residence);
    auto body = kept && accepts(*request_, kept->encoding) ? replay(*kept, unix_seconds(thread_))
                                                           : std::nullopt;
    thread_.services.metrics.cache_read(body ? telemetry::CacheResult::kHit
                                             : telemetry::CacheResult::kMiss);
    if (!body) return std::nullopt;
    return Answer{kept->encoding, std::move(*body), request::Source::kCache};
  }

  [[nodiscard]] std::optional<identity::CredentialHash> name_of(
      const std::optional<identity::Principal>& principal) const {
    if (!principal || !principal->is_node() || !whole()) return std::nullopt;
    const auto spec = read_token_spec(encoding_, body());
    if (!spec) return std::nullopt;
    const auto& attributes = request_->attributes;
    return thread_.services.writes.tokens.name(principal->id(), attributes.ns, attributes.name,
                                               *spec);
  }
};

/// A plain create of an Event. A recorder drops an Event upon any Status (client-go
/// tools/record/event.go), so a 503 would lose what an outage is told by.
class EventWrite final : public OfflineWrite {
 public:
  using OfflineWrite::OfflineWrite;
  [[nodiscard]] bool repeatable() const override { return false; }
  [[nodiscard]] bool learns() const override { return false; }
  Task<> answered(unsigned, kube::Encoding, std::optional<Slice>) override { co_return; }

 private:
  // What is sent into a dying link is lost: its fate is known in a moment.
  Task<> settle() override {
    const auto deadline = SteadyClock::now() + kSettle;
    while (thread_.services.link.state() == upstream::Link::kSuspect) {
      const auto left = deadline - SteadyClock::now();
      if (left <= left.zero()) break;
      co_await thread_.link_changed.wait_for(left);
    }
  }

  std::optional<Answer> find(const identity::Principal&) override {
    auto& services = thread_.services;
    const auto& attributes = request_->attributes;
    if (!request_->client->may_forward || !accepts(*request_, encoding_)) return std::nullopt;
    auto taken = take_event(encoding_, body(), attributes.gvr, attributes.ns,
                            Invented::now(unix_seconds(thread_)));
    if (!taken) return std::nullopt;
    KeptEvent event{.head = request::upstream_head(request_->head()),
                    .body = std::move(taken->upload),
                    .credential = request_->credential,
                    .identity = request_->client->identity};
    event.head.headers.set("content-length", std::to_string(event.body.size()));
    const auto owner = services.identities.hash(request_->credential);
    auto& queue = services.writes.events;
    switch (queue.keep(owner, request_->client, std::move(event))) {
      case EventQueue::Kept::kNo:
        return std::nullopt;
      case EventQueue::Kept::kFirst:
        thread_.nursery.spawn("kept Events", send_when_back(thread_, queue, owner));
        break;
      case EventQueue::Kept::kYes:
        break;
    }
    return Answer{encoding_, std::move(taken->answer), request::Source::kLocal};
  }
};

// A kubelet's TokenRequest, as the policy found; its action says where the answer may be.
bool is_token_request(const kube::RequestAttributes& attributes, policy::Action action) {
  return attributes.subresource == "token" && attributes.gvr.resource == "serviceaccounts" &&
         (action == policy::Action::kCache || action == policy::Action::kMemory);
}

bool is_plain_event(const kube::RequestAttributes& attributes) {
  const auto& gvr = attributes.gvr;
  const bool event = gvr.resource == "events" && gvr.version == "v1" &&
                     (gvr.group.empty() || gvr.group == "events.k8s.io");
  return event && attributes.resource_request && attributes.verb == kube::Verb::kCreate &&
         attributes.subresource.empty() && !attributes.ns.empty() && !attributes.dry_run;
}

}  // namespace

std::unique_ptr<OfflineWrite> OfflineWrite::of(ThreadContext& thread,
                                               const std::shared_ptr<Request>& request,
                                               policy::Action action) {
  const auto& attributes = request->attributes;
  const bool token = is_token_request(attributes, action);
  const bool event = !token && action == policy::Action::kForward && is_plain_event(attributes);
  if (!token && !event) return nullptr;
  const auto& headers = request->head().headers;
  kube::Encoding encoding{};
  bool stream = false;
  if (!kube::parse_content_type(headers.get("content-type"), encoding, stream) || stream ||
      headers.has("content-encoding")) {
    return nullptr;
  }
  if (token) return std::make_unique<TokenWrite>(thread, request, encoding);
  return std::make_unique<EventWrite>(thread, request, encoding);
}

Task<bool> OfflineWrite::prepare() {
  std::string bytes;
  while (bytes.size() <= kMaxBody) {
    const auto piece = co_await request_->exchange->read();
    if (!piece) co_return false;
    whole_ = piece->empty();
    if (whole_) break;
    bytes += piece->view();
  }
  body_ = Slice::own(std::move(bytes));
  co_await settle();
  co_return true;
}

Task<> OfflineWrite::answer() {
  auto who = read::offline_principal(thread_, *request_);
  if (auto* status = std::get_if<kube::Status>(&who)) {
    co_await request_->reply.status(request_->error_encoding(), std::move(*status),
                                    request::Source::kLocal);
    co_return;
  }
  auto found = whole_ ? find(std::get<identity::Principal>(who)) : std::nullopt;
  if (!found) {
    co_await request_->reply.status(request_->error_encoding(), read::link_down(thread_),
                                    request::Source::kLocal);
    co_return;
  }
  http::ResponseHead head{.status = 201};
  head.headers.add("content-type", kube::content_type(found->encoding, false));
  head.headers.add("content-length", std::to_string(found->body.size()));
  head.headers.add("cache-control", "no-cache, private");
  const auto sent = co_await request_->reply.head(std::move(head), false, found->source);
  if (sent) co_await request_->reply.write(Slice::own(std::move(found->body)), true);
}

}  // namespace holdfast::writes
