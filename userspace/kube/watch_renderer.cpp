#include "holdfast/kube/watch_event.h"
#include "kube/parsed_object.h"
#include "kube/status_body.h"
#include "kube/write.h"

namespace holdfast::kube {
namespace {

/// The body of an object that has nothing but a resourceVersion.
std::string bookmark_body(Encoding encoding, ResourceVersion version, bool initial_events_end) {
  const auto text = std::to_string(version);
  if (encoding == Encoding::kJson) {
    std::string out = "{\"metadata\":{\"resourceVersion\":\"" + text + '"';
    if (initial_events_end)
      out.append(",\"annotations\":{\"").append(kInitialEventsEnd).append("\":\"true\"}");
    return out + "}}";
  }
  std::string meta;  // ObjectMeta: resourceVersion 6, annotations 12
  append_protobuf_field(meta, 6, text);
  if (initial_events_end) {
    std::string entry;
    append_protobuf_field(entry, 1, kInitialEventsEnd);
    append_protobuf_field(entry, 2, "true");
    append_protobuf_field(meta, 12, entry);
  }
  std::string out;
  append_protobuf_field(out, 1, meta);
  return out;
}

}  // namespace

std::string render_event(Encoding encoding, EventType type, const TypeMeta& object_type,
                         std::string_view body) {
  const auto name = to_string(type);
  std::string out;
  if (encoding == Encoding::kJson) {
    out.reserve(body.size() + object_type.kind.size() + object_type.api_version.size() + 80);
    out.append("{\"type\":\"").append(name).append("\",\"object\":");
    append_json_object(out, object_type, body);
    return out.append("}\n");
  }
  // WatchEvent{type = 1, object = 2 RawExtension{raw = 1}}
  const auto object = protobuf_envelope_size(object_type, body.size());
  const auto extension = protobuf_field_size(object);
  const auto event = protobuf_field_size(name.size()) + protobuf_field_size(extension);
  out.reserve(event + 4);
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(event >> shift & 0xff);
  append_protobuf_field(out, 1, name);
  append_protobuf_header(out, 2, extension);
  append_protobuf_header(out, 1, object);
  append_protobuf_envelope(out, object_type, body.size());
  out += body;
  return out.append(kProtobufEnvelopeEnd);
}

std::string render_bookmark(Encoding encoding, const TypeMeta& object_type, ResourceVersion version,
                            bool initial_events_end) {
  return render_event(encoding, EventType::kBookmark, object_type,
                      bookmark_body(encoding, version, initial_events_end));
}

std::string render_error_event(Encoding encoding, const Status& status) {
  return render_event(encoding, EventType::kError, kStatusType, status_body(encoding, status));
}

}  // namespace holdfast::kube
