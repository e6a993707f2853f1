#include "kube/write.h"

#include <nlohmann/json.hpp>
#include <protozero/buffer_string.hpp>
#include <protozero/varint.hpp>

#include "kube/parsed_object.h"

namespace holdfast::kube {
namespace {

constexpr unsigned kLengthDelimited = 2;

std::size_t varint_size(std::size_t value) {
  return static_cast<std::size_t>(protozero::length_of_varint(value));
}

std::size_t type_meta_size(const TypeMeta& type) {
  return protobuf_field_size(type.api_version.size()) + protobuf_field_size(type.kind.size());
}

}  // namespace

std::string json_quote(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void append_json_object(std::string& out, const TypeMeta& type, std::string_view body) {
  if (type.kind.empty() && type.api_version.empty()) {
    out += body;
    return;
  }
  out += '{';
  if (!type.kind.empty()) out.append("\"kind\":").append(json_quote(type.kind));
  if (!type.api_version.empty()) {
    if (!type.kind.empty()) out += ',';
    out.append("\"apiVersion\":").append(json_quote(type.api_version));
  }
  if (body != "{}") out += ',';
  out += body.substr(1);
}

std::size_t protobuf_field_size(std::size_t size) {
  return 1 + varint_size(size) + size;
}

void append_protobuf_header(std::string& out, unsigned field, std::size_t size) {
  out += static_cast<char>(field << 3 | kLengthDelimited);
  protozero::add_varint_to_buffer(&out, size);
}

void append_protobuf_field(std::string& out, unsigned field, std::string_view content) {
  append_protobuf_header(out, field, content.size());
  out += content;
}

void append_protobuf_envelope(std::string& out, const TypeMeta& type, std::size_t body_size) {
  out += kProtobufMagic;
  append_protobuf_header(out, 1, type_meta_size(type));
  append_protobuf_field(out, 1, type.api_version);
  append_protobuf_field(out, 2, type.kind);
  append_protobuf_header(out, 2, body_size);
}

std::size_t protobuf_envelope_size(const TypeMeta& type, std::size_t body_size) {
  return kProtobufMagic.size() + protobuf_field_size(type_meta_size(type)) +
         protobuf_field_size(body_size) + kProtobufEnvelopeEnd.size();
}

}  // namespace holdfast::kube
