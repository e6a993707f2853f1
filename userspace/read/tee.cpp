#include "read/tee.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>

#include "holdfast/base/event.h"

namespace holdfast::read {
namespace {

// Which of the accepted transforms the answer has can't be told from its Content-Type. When all
// are the same it is that one; with a Table among them the bytes are kept as they are.
std::optional<kube::Transform> common_transform(const request::Request& request) {
  if (request.accept.empty()) return std::nullopt;
  const auto first = request.accept.front().representation.transform;
  const bool same = std::ranges::all_of(request.accept, [&](const kube::AcceptChoice& choice) {
    return choice.representation.transform == first;
  });
  return same ? std::optional{first} : std::nullopt;
}

// Of all documents that are being read, by all clients: any number of them may leave the last bytes
// of a large one unread.
constexpr std::size_t kMaxInFlight = 128 * 1024 * 1024;  // bytes
std::atomic<std::size_t> documents_in_flight{0};

}  // namespace

Keep keep_of(const request::Request& request) {
  const auto& attributes = request.attributes;
  if (!attributes.resource_request) {
    return attributes.verb == kube::Verb::kGet ? Keep::kDocument : Keep::kNothing;
  }
  if (attributes.verb != kube::Verb::kGet && attributes.verb != kube::Verb::kList) {
    return Keep::kNothing;
  }
  const auto transform = common_transform(request);
  if (!transform || *transform == kube::Transform::kTable) return Keep::kDocument;
  return attributes.verb == kube::Verb::kGet ? Keep::kObject : Keep::kList;
}

std::string document_key(const request::Request& request) {
  return request.head().target + "\n" + request.head().headers.joined("accept");
}

std::unique_ptr<Tee> Tee::create(request::ThreadContext& thread, const request::Request& request,
                                 const http::ResponseHead& head) {
  if (head.status != 200 || !request.principal || request.head().method != "GET") return nullptr;
  std::unique_ptr<Tee> tee{new Tee{thread.executor}};
  tee->store_ = &thread.services.store;
  tee->options_ = request.record;
  tee->principal_ = request.principal->id();
  const auto content_type = head.headers.get("content-type");
  const auto coding = head.headers.get("content-encoding");
  if (coding == "gzip") {
    tee->inflater_ = std::make_unique<Inflater>();
  } else if (!coding.empty() && coding != "identity") {
    return nullptr;
  }
  kube::Representation representation;
  bool stream = false;
  switch (keep_of(request)) {
    case Keep::kNothing:
      return nullptr;
    case Keep::kDocument:
      tee->document_key_ = document_key(request);
      tee->document_ = cache::Document{.gvr = request.attributes.gvr,
                                       .content_type = std::string{content_type},
                                       .etag = std::string{head.headers.get("etag")},
                                       .body = {},
                                       .shown_at = thread.services.clock.wall()};
      return tee;
    case Keep::kObject:
    case Keep::kList:
      if (!kube::parse_content_type(content_type, representation.encoding, stream) || stream) {
        return nullptr;
      }
      representation.transform = request.accept.front().representation.transform;
      representation.transform_version = request.accept.front().representation.transform_version;
      break;
  }
  auto query = request::query_of(request, *request.principal, std::move(representation));
  if (!query) return nullptr;
  tee->recorder_ =
      request.attributes.verb == kube::Verb::kGet
          ? thread.services.store.record_get(std::move(*query), request.record)
          : thread.services.store.record_list(
                std::move(*query), request.attributes.options.continue_token, request.record);
  return tee;
}

void Tee::feed(const Slice& bytes) {
  if (failed_) return;
  if (!inflater_) return take(bytes);
  const auto unpacked =
      inflater_->feed(bytes.view(), [this](Slice plain) { take(std::move(plain)); });
  if (!unpacked) failed_ = true;
}

bool Tee::reserve(std::size_t size) {
  if (documents_in_flight.fetch_add(size) + size > kMaxInFlight) {
    documents_in_flight.fetch_sub(size);
    return false;
  }
  reserved_ += size;
  return true;
}

Tee::~Tee() {
  documents_in_flight.fetch_sub(reserved_);
}

void Tee::take(Slice plain) {
  if (recorder_) return recorder_->feed(std::move(plain));
  if (document_body_.size() + plain.size() > kMaxDocument || !reserve(plain.size())) {
    failed_ = true;
    document_body_.clear();
    return;
  }
  document_body_ += plain.view();
}

Task<> Tee::finish() {
  if (failed_ || (inflater_ && !inflater_->finished())) co_return;
  if (document_) {
    document_->body = Slice::own(std::move(document_body_));
    store_->record_document(principal_, document_key_, std::move(*document_), options_);
    co_return;
  }
  if (options_.durability != cache::Durability::kWriteThrough) {
    recorder_->finish({});
    co_return;
  }
  // Not stored is no reason to hold the answer back: the store marked the collection broken first.
  struct Done {
    explicit Done(Executor executor) : event{executor} {}
    Event event;
    bool ended = false;
  };
  auto done = std::make_shared<Done>(executor_);
  recorder_->finish([done, executor = executor_](bool) {
    boost::asio::post(executor, [done] {
      done->ended = true;
      done->event.notify_all();
    });
  });
  while (!done->ended) co_await done->event.wait();
}

}  // namespace holdfast::read
