#include "holdfast/kube/list.h"
#include "kube/write.h"

namespace holdfast::kube {
namespace {

// ListMeta: metav1 generated.proto.
constexpr unsigned kSelfLink = 1;  // always empty since 1.20, and always written
constexpr unsigned kResourceVersion = 2;
constexpr unsigned kContinue = 3;
// Every list message: metadata, items.
constexpr unsigned kMetadata = 1;
constexpr unsigned kItems = 2;

std::string protobuf_meta(const ListMeta& meta) {
  std::string out;
  append_protobuf_field(out, kSelfLink, {});
  append_protobuf_field(out, kResourceVersion, meta.resource_version);
  append_protobuf_field(out, kContinue, meta.continue_token);
  return out;
}

}  // namespace

ListRenderer::ListRenderer(Encoding encoding, ListMeta meta)
    : encoding_{encoding}, meta_{std::move(meta)} {}

std::size_t ListRenderer::item_size(Encoding encoding, std::size_t body_size) {
  return encoding == Encoding::kJson ? body_size + 1 : protobuf_field_size(body_size);
}

std::string ListRenderer::begin(std::size_t items_bytes) const {
  std::string out;
  if (encoding_ == Encoding::kProtobuf) {
    const auto meta = protobuf_meta(meta_);
    append_protobuf_envelope(out, meta_.type, protobuf_field_size(meta.size()) + items_bytes);
    append_protobuf_field(out, kMetadata, meta);
    return out;
  }
  std::string rest = "{\"metadata\":{\"resourceVersion\":" + json_quote(meta_.resource_version);
  if (!meta_.continue_token.empty()) rest += ",\"continue\":" + json_quote(meta_.continue_token);
  rest += "},\"items\":[";
  append_json_object(out, meta_.type, rest);
  return out;
}

void ListRenderer::item(std::string& out, const TypeMeta& type, std::string_view body) {
  if (encoding_ == Encoding::kProtobuf) {
    append_protobuf_field(out, kItems, body);
    return;
  }
  if (!first_) out += ',';
  first_ = false;
  append_json_object(out, type, body);
}

std::string ListRenderer::end() const {
  return encoding_ == Encoding::kProtobuf ? std::string{kProtobufEnvelopeEnd} : "]}\n";
}

}  // namespace holdfast::kube
