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
