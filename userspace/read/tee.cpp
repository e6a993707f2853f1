#include "read/tee.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "holdfast/base/answer.h"

namespace holdfast::read {
namespace {

bool accepts(const request::Request& request, kube::Transform transform) {
  return std::ranges::any_of(request.accept, [&](const kube::AcceptChoice& choice) {
    return choice.representation.transform == transform;
  });
}

constexpr std::size_t kKindWithin = 256;  // bytes of a body that tell its kind

// Whether a body is metadata alone, by its first bytes: both encodings begin with the type of a
// PartialObjectMetadata and its list (metav1, serialized as a struct), while the Content-Type does
// not tell. Custom resources' lists begin with other fields, and are none.
bool is_metadata(kube::Encoding encoding, std::string_view body) {
  constexpr std::string_view kGroup = "meta.k8s.io/v";
  constexpr std::string_view kMagic{"k8s\0", 4};
  if (encoding == kube::Encoding::kProtobuf) {
    // runtime.Unknown{typeMeta: {apiVersion, kind}}: two tags and two lengths before the text.
    return body.starts_with(kMagic) && body.substr(kMagic.size() + 4).starts_with(kGroup);
  }
  std::string plain;
  for (const char c : body.substr(0, kKindWithin)) {
    if (c != ' ' && c != '\n' && c != '\t' && c != '\r') plain += c;
  }
  return plain.starts_with(R"({"kind":"PartialObjectMetadata)") ||
         plain.starts_with(R"({"apiVersion":"meta.k8s.io/v)");
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
  // With a Table among what is accepted the bytes are kept as they are.
  if (request.accept.empty() || accepts(request, kube::Transform::kTable)) return Keep::kDocument;
  return attributes.verb == kube::Verb::kGet ? Keep::kObject : Keep::kList;
}

std::string document_key(const request::Request& request) {
  return document_key(request.head().target, request.head().headers.joined("accept"));
}

std::string document_key(std::string_view target, std::string_view accept) {
  return std::string{target}.append("\n").append(accept);
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
  kube::Encoding encoding{};
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
      if (!kube::parse_content_type(content_type, encoding, stream) || stream) return nullptr;
      break;
  }
  auto query = request::query_of(request, *request.principal, {.encoding = encoding});
  if (!query) return nullptr;
  for (const auto& choice : request.accept) {
    if (choice.representation.transform != kube::Transform::kPartialObjectMetadata) continue;
    tee->metadata_version_ = choice.representation.transform_version;
    break;
  }
  tee->query_ = std::move(*query);
  tee->is_list_ = request.attributes.verb == kube::Verb::kList;
  tee->continue_token_ = request.attributes.options.continue_token;
  // Where metadata alone is accepted too, the answer itself tells which it is.
  if (tee->metadata_version_.empty()) tee->begin({});
  return tee;
}

void Tee::begin(std::string_view body) {
  if (!metadata_version_.empty() && is_metadata(query_.representation.encoding, body)) {
    query_.representation.transform = kube::Transform::kPartialObjectMetadata;
    query_.representation.transform_version = metadata_version_;
  }
  recorder_ = is_list_ ? store_->record_list(query_, continue_token_, options_)
                       : store_->record_get(query_, options_);
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
  if (!document_) {
    if (recorder_) return recorder_->feed(std::move(plain));
    start_ += plain.view();
    if (start_.size() >= kKindWithin) begin_with_start();
    return;
  }
  if (document_body_.size() + plain.size() > kMaxDocument || !reserve(plain.size())) {
    failed_ = true;
    document_body_.clear();
    return;
  }
  document_body_ += plain.view();
}

void Tee::begin_with_start() {
  begin(start_);
  recorder_->feed(Slice::own(std::exchange(start_, {})));
}

std::optional<cache::Query> Tee::list_query() const {
  if (!recorder_ || failed_ || !is_list_ || !continue_token_.empty()) return std::nullopt;
  return query_;
}

Task<> Tee::finish() {
  if (!document_ && !recorder_) begin_with_start();
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
  Answer<bool> stored{executor_};
  recorder_->finish(stored.callback());
  // A disk that hangs must not hang the client too.
  (void)co_await stored.wait_for(kDiskLimit);
}

}  // namespace holdfast::read
