#include "proxy/forward.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>

#include "read/inflate.h"
#include "read/offline_answer.h"
#include "read/refusal.h"

namespace holdfast::proxy {
namespace {

using request::Request;
using request::ThreadContext;
using telemetry::Source;

constexpr std::size_t kMaxWritten = 4 * 1024 * 1024;  // bytes; etcd takes objects of 1.5 MiB
constexpr std::size_t kMaxOptions = 64 * 1024;        // bytes of a body that is looked at
constexpr std::size_t kMaxRefusal = 64 * 1024;        // bytes of a 404's body that is looked at
constexpr std::chrono::seconds kReviewLimit{2};

bool has_body(const http::RequestHead& head) {
  if (head.headers.has("content-length")) return head.headers.get("content-length") != "0";
  // Without a length only the end of the stream tells; GET and HEAD have none in Kubernetes.
  return head.method != "GET" && head.method != "HEAD";
}

// Sends the request's body. A server that answered early need not read it all: its answer counts.
Task<> send_body(std::shared_ptr<Request> request, http::ClientStream& stream, std::string* options,
                 const writes::OfflineWrite* taken) {
  if (taken) {
    const auto sent = co_await stream.write(taken->body(), taken->whole());
    if (!sent || taken->whole()) co_return;
  }
  while (true) {
    auto piece = co_await request->exchange->read();
    if (!piece) {
      stream.cancel();
      co_return;
    }
    const bool end = piece->empty();
    if (options->size() <= kMaxOptions) *options += piece->view().substr(0, kMaxOptions + 1);
    const auto sent = co_await stream.write(std::move(*piece), end);
    if (!sent || end) co_return;
  }
}

// A dry run of a delete is asked for in its body (metav1.DeleteOptions.dryRun, whose one value is
// "All", in either encoding). Taking another body for one costs no more than an answer.
bool may_be_dry_run(const std::string& options) {
  return options.size() > kMaxOptions || options.find("All") != std::string::npos;
}

// What a successful write does to what its principal was shown.
enum class Effect : std::uint8_t {
  kNone,
  kShown,       // the answer is the object as it is now
  kUnseen,      // the object changed, and the answer shows its version at most
  kCollection,  // many objects changed
};

Effect effect_of(const Request& request) {
  const auto& attributes = request.attributes;
  if (!attributes.resource_request || attributes.dry_run) return Effect::kNone;
  switch (attributes.verb) {
    case kube::Verb::kDeleteCollection:
      return Effect::kCollection;
    case kube::Verb::kCreate:
    case kube::Verb::kUpdate:
    case kube::Verb::kPatch:
    case kube::Verb::kDelete:
      break;
    default:
      return Effect::kNone;
  }
  const auto& part = attributes.subresource;
  if (part.empty() || part == "status") return Effect::kShown;
  // The others (exec, log, proxy, token…) leave the object as it is.
  constexpr std::array<std::string_view, 7> kChanging{
      "scale", "resize", "ephemeralcontainers", "binding", "eviction", "approval", "finalize"};
  return std::ranges::find(kChanging, part) != kChanging.end() ? Effect::kUnseen : Effect::kNone;
}

// The body of a write's answer, unpacked.
class Written {
 public:
  static std::optional<Written> create(const http::ResponseHead& head) {
    Written written;
    bool stream = false;
    if (!kube::parse_content_type(head.headers.get("content-type"), written.encoding_, stream)) {
      return std::nullopt;
    }
    const auto coding = head.headers.get("content-encoding");
    if (coding == "gzip") {
      written.inflater_ = std::make_unique<read::Inflater>();
    } else if (!coding.empty() && coding != "identity") {
      return std::nullopt;
    }
    return written;
  }

  void feed(const Slice& bytes) {
    if (!inflater_) return take(bytes.view());
    if (!inflater_->feed(bytes.view(), [this](Slice plain) { take(plain.view()); })) failed_ = true;
  }
  [[nodiscard]] kube::Encoding encoding() const { return encoding_; }
  /// Empty when it could not be taken whole.
  std::optional<Slice> body() && {
    if (failed_ || (inflater_ && !inflater_->finished())) return std::nullopt;
    return Slice::own(std::move(body_));
  }

 private:
  void take(std::string_view plain) {
    failed_ = failed_ || body_.size() + plain.size() > kMaxWritten;
    if (!failed_) body_ += plain;
  }

  kube::Encoding encoding_{};
  std::unique_ptr<read::Inflater> inflater_;
  std::string body_;
  bool failed_ = false;
};

// The answer to a successful write is the newest this principal has seen of the object.
void remember_write(ThreadContext& thread, const Request& request, Effect effect,
                    std::optional<Written> written) {
  if (!request.principal) return;
  auto query = request::query_of(request, *request.principal, {});
  if (!query) return;
  auto& store = thread.services.store;
  query->subresource.clear();
  if (effect == Effect::kCollection) return store.record_delete_collection(std::move(*query));
  const auto encoding = written ? written->encoding() : kube::Encoding{};
  std::optional<Slice> bytes;
  if (written) bytes = std::move(*written).body();
  const auto object = bytes ? kube::parse_object(encoding, *bytes)
                            : Result<kube::Object>{make_error(Errc::kNotFound)};
  // A deletion is answered with a Status, or with the object as it was or still is (finalizers,
  // grace; Pods and Services also when they are gone): only the first is proof of anything.
  if (effect == Effect::kShown && object && object->type.kind == "Status" &&
      request.attributes.verb == kube::Verb::kDelete) {
    return store.record_delete(std::move(*query));
  }
  // A transformed answer (Table, PartialObjectMetadata) is not the object.
  const bool whole = effect == Effect::kShown && object &&
                     request.attributes.verb != kube::Verb::kDelete &&
                     object->type.kind != "Status" && object->type.kind != "Table" &&
                     object->type.kind != "PartialObjectMetadata" && !object->meta.name.empty();
  if (whole) {
    query->name = object->meta.name;  // generateName
    query->representation.encoding = encoding;
    return store.record_write(std::move(*query), encoding, std::move(*bytes), request.record);
  }
  if (!query->name.empty()) {
    const bool versioned = object && object->type.kind != "Status";
    store.record_unseen_write(std::move(*query), versioned ? object->meta.resource_version : 0);
  }
}

Task<> answer_offline(ThreadContext& thread, std::shared_ptr<Request> request,
                      writes::OfflineWrite* offline) {
  if (offline) co_return co_await offline->answer();
  co_await request->reply.status(request->error_encoding(), read::link_down(thread),
                                 Source::kLocal);
}

}  // namespace

Task<> forward(ThreadContext& thread, std::shared_ptr<Request> request,
               writes::OfflineWrite* offline) {
  if (offline) {
    const bool prepared = co_await offline->prepare();
    if (!prepared) co_return;
  }
  if (thread.services.link.state() == upstream::Link::kOffline) {
    co_return co_await answer_offline(thread, request, offline);
  }
  if (!request::may_go_up(*request)) co_return;
  auto effect = effect_of(*request);
  // Whose view it changes is found out while the request is under way.
  if (effect != Effect::kNone) thread.principals.start(*request);
  const bool body = has_body(request->head());
  // A read whose connection broke before its answer came is asked once more, elsewhere if need be.
  const bool read_only = request->head().method == "GET" || request->head().method == "HEAD";
  std::unique_ptr<http::ClientStream> stream;
  std::string options;
  Result<http::ResponseHead> head = make_error(Errc::kUnavailable);
  for (int tries = read_only && !body ? 2 : 1; tries > 0 && !head; --tries) {
    auto opened = co_await thread.pool.open(request->client->identity,
                                            request::upstream_head(request->head()), !body,
                                            request->client->sticky);
    if (!opened) co_return co_await answer_offline(thread, request, offline);
    stream = std::move(*opened);
    if (body) co_await send_body(request, *stream, &options, offline);
    head = co_await stream->response();
  }
  const bool deletes = request->attributes.verb == kube::Verb::kDelete;
  if (effect == Effect::kShown && deletes && may_be_dry_run(options)) effect = Effect::kUnseen;
  if (!head) {
    // The request may or may not have been carried out: no Status could say which, and the client
    // knows best whether to ask again.
    if (thread.services.link.state() == upstream::Link::kOffline) {
      auto* repeated = offline && offline->repeatable() ? offline : nullptr;
      co_await answer_offline(thread, request, repeated);
    } else if (head.error().code == make_error_code(Errc::kUnavailable)) {
      // It was not: the server's GOAWAY crossed it. Its client knows how to send it again.
      request->reply.refuse();
    } else {
      request->reply.abort();
    }
    co_return;
  }
  const unsigned status = head->status;
  read::note_status(thread, *request, status);
  const bool refused = read::is_refusal(status);
  if (status / 100 != 2) effect = Effect::kNone;
  const std::string content_type{head->headers.get("content-type")};
  std::string refusal;
  std::optional<Written> written;
  const bool seen = effect == Effect::kShown || effect == Effect::kUnseen;
  if (seen || (offline && offline->learns())) written = Written::create(*head);
  if (!co_await request->reply.head(std::move(*head), false, Source::kUpstream)) co_return;
  while (true) {
    auto piece = co_await stream->read();
    if (!piece) {
      request->reply.abort();
      co_return;
    }
    if (piece->empty()) break;
    if (written) written->feed(*piece);
    if (refused && refusal.size() + piece->size() <= kMaxRefusal) refusal += piece->view();
    if (!co_await request->reply.write(std::move(*piece), false)) co_return;
  }
  if (offline && offline->learns()) {
    const auto encoding = written ? written->encoding() : kube::Encoding{};
    auto body_shown = written ? std::move(*written).body() : std::nullopt;
    co_await offline->answered(status, encoding, std::move(body_shown));
  } else if (effect != Effect::kNone) {
    request->principal = co_await thread.principals.resolve(request, kReviewLimit);
    if (!request->principal) request->principal = read::known_principal(thread, *request);
    remember_write(thread, *request, effect, std::move(written));
  }
  if (refused) {
    read::forget_refused(thread, *request, status, content_type, std::move(refusal));
  }
  co_await request->reply.write({}, true);
}

}  // namespace holdfast::proxy
