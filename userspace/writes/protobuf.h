#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::writes {

/// One field of a protobuf message, as it lies there.
struct ProtobufField {
  std::uint32_t number = 0;
  std::string_view raw;    ///< tag and all
  std::string_view bytes;  ///< content of a length-delimited field
  bool length_delimited = false;
  std::optional<std::int64_t> varint;  ///< value of a varint field
};

/// All fields in their order, into `message`; empty when it is malformed.
std::optional<std::vector<ProtobufField>> protobuf_fields(std::string_view message);

/// Appends a length-delimited field, and metav1.Time{seconds} as one.
void append_bytes(std::string& out, std::uint32_t number, std::string_view content);
void append_time(std::string& out, std::uint32_t number, std::int64_t seconds);

}  // namespace holdfast::writes
