#include "holdfast/kube/object.h"

#include <charconv>

#include "kube/parsed_object.h"
#include "kube/write.h"

namespace holdfast::kube {

bool parse_resource_version(std::string_view text, ResourceVersion& out) {
  out = 0;
  ResourceVersion value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return false;
  out = value;
  return true;
}

Result<Object> parse_object(Encoding encoding, Slice bytes) {
  auto parsed =
      encoding == Encoding::kJson ? parse_json_object(bytes.view()) : parse_protobuf_object(bytes);
  if (!parsed) return parsed.error();
  return std::move(parsed->object);
}

Result<Slice> metadata_only(std::string_view body) {
  const auto metadata = find_json_metadata(body);
  if (!metadata) return metadata.error();
  return Slice::own("{\"metadata\":" + *metadata + "}");
}

Result<Slice> restamp(Encoding encoding, std::string_view body, ResourceVersion version) {
  const auto text = std::to_string(version);
  std::string out;
  out.reserve(body.size() + text.size());
  if (encoding == Encoding::kJson) {
    const auto found = find_json_resource_version(body);
    if (!found) return found.error();
    const auto at = static_cast<std::size_t>(found->data() - body.data());
    out.append(body.substr(0, at)).append("\"").append(text).append("\"");
    out.append(body.substr(at + found->size()));
    return Slice::own(std::move(out));
  }
  const auto found = find_protobuf_resource_version(body);
  if (!found) return found.error();
  out.append(found->before);
  append_protobuf_header(
      out, 1,
      found->meta_before.size() + protobuf_field_size(text.size()) + found->meta_after.size());
  out.append(found->meta_before);
  append_protobuf_field(out, 6, text);
  out.append(found->meta_after).append(found->after);
  return Slice::own(std::move(out));
}

std::string render_object(Encoding encoding, const TypeMeta& type, std::string_view body) {
  std::string out;
  if (encoding == Encoding::kJson) {
    out.reserve(body.size() + type.kind.size() + type.api_version.size() + 40);
    append_json_object(out, type, body);
    out += '\n';
  } else {
    out.reserve(protobuf_envelope_size(type, body.size()));
    append_protobuf_envelope(out, type, body.size());
    out += body;
    out += kProtobufEnvelopeEnd;
  }
  return out;
}

}  // namespace holdfast::kube
