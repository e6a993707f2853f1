#pragma once

#include <memory>

#include "holdfast/kube/list.h"
#include "holdfast/kube/object.h"

namespace holdfast::kube {

/// The annotation of the bookmark that ends a WatchList's initial events (KEP-3157).
inline constexpr std::string_view kInitialEventsEnd = "k8s.io/initial-events-end";

/// An object with what a watch wants to know about it beside its metadata.
struct ParsedObject {
  Object object;
  bool initial_events_end = false;
  unsigned status_code = 0;  ///< a Status' code
};

/// A buffer that grows no more: `size` bytes that simdjson may read past.
std::shared_ptr<char[]> make_padded_buffer(std::size_t size);

// JSON. `text` is one whole object in any layout.
Result<ParsedObject> parse_json_object(std::string_view text);
/// A list whose items were taken out.
Result<ListMeta> parse_json_list_meta(std::string_view text);
struct JsonEvent {
  std::string type;
  std::string_view object;  ///< into the text
};
/// `text` lies in a padded buffer.
Result<JsonEvent> parse_json_event(std::string_view text);
/// Canonical text: where the value of metadata.resourceVersion is, quotes included.
Result<std::string_view> find_json_resource_version(std::string_view text);
/// Canonical text: that of its metadata. kInvalidArgument when it has none.
Result<std::string> find_json_metadata(std::string_view text);

// Protobuf.
inline constexpr std::string_view kProtobufMagic{"k8s\0", 4};
/// A message in its `k8s\0` envelope. The body shares the bytes.
Result<ParsedObject> parse_protobuf_object(const Slice& bytes);
/// A message of any kind whose field 1 is an ObjectMeta.
Result<ParsedObject> read_protobuf_message(Slice body);
struct ProtobufEvent {
  std::string_view type;  ///< into the bytes
  Slice object;           ///< with its envelope
};
/// Where a message's ObjectMeta is, and in it the field (tag, length and content) of its
/// resourceVersion.
struct ProtobufVersion {
  std::string_view before, meta_before, meta_after, after;
};
Result<ProtobufVersion> find_protobuf_resource_version(std::string_view body);
/// A WatchEvent without its length.
Result<ProtobufEvent> read_protobuf_event(const Slice& bytes);
Result<void> read_protobuf_type_meta(std::string_view bytes, TypeMeta& out);
Result<void> read_protobuf_list_meta(std::string_view bytes, ListMeta& out);

}  // namespace holdfast::kube
