#include "writes/protobuf.h"

#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

namespace holdfast::writes {
namespace {

using protozero::pbf_wire_type;

}  // namespace

std::optional<std::vector<ProtobufField>> protobuf_fields(std::string_view message) {
  std::vector<ProtobufField> out;
  try {
    protozero::pbf_reader reader{message.data(), message.size()};
    auto left = message.size();
    while (reader.next()) {
      ProtobufField field{.number = reader.tag()};
      switch (reader.wire_type()) {
        case pbf_wire_type::length_delimited: {
          const auto view = reader.get_view();
          field.bytes = {view.data(), view.size()};
          field.length_delimited = true;
          break;
        }
        case pbf_wire_type::varint:
          field.varint = reader.get_int64();
          break;
        default:
          reader.skip();
      }
      const auto rest = reader.data().size();
      field.raw = message.substr(message.size() - left, left - rest);
      left = rest;
      out.push_back(field);
    }
  } catch (const protozero::exception&) {
    return std::nullopt;
  }
  return out;
}

void append_bytes(std::string& out, std::uint32_t number, std::string_view content) {
  protozero::pbf_writer{out}.add_bytes(number, content.data(), content.size());
}

void append_time(std::string& out, std::uint32_t number, std::int64_t seconds) {
  std::string time;
  protozero::pbf_writer{time}.add_int64(1, seconds);
  append_bytes(out, number, time);
}

}  // namespace holdfast::writes
