#pragma once

#include <string>
#include <string_view>

#include "holdfast/kube/object.h"

namespace holdfast::kube {

/// `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD.
std::string json_quote(std::string_view text);
/// Appends a canonical body with its kind and apiVersion put back.
void append_json_object(std::string& out, const TypeMeta& type, std::string_view body);

/// Bytes of a field of `size` bytes whose number is below 16: tag, length, content.
std::size_t protobuf_field_size(std::size_t size);
/// Appends tag and length of such a field.
void append_protobuf_header(std::string& out, unsigned field, std::size_t size);
void append_protobuf_field(std::string& out, unsigned field, std::string_view content);
/// Appends a message's envelope up to its body, which has `body_size` bytes.
void append_protobuf_envelope(std::string& out, const TypeMeta& type, std::size_t body_size);
/// What follows the body: empty contentEncoding and contentType, as the API server writes them.
inline constexpr std::string_view kProtobufEnvelopeEnd{"\x1a\0\x22\0", 4};
/// The envelope's size with a body of that size.
std::size_t protobuf_envelope_size(const TypeMeta& type, std::size_t body_size);

}  // namespace holdfast::kube
