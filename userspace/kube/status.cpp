#include "holdfast/kube/status_reasons.h"
#include "kube/status_body.h"
#include "kube/write.h"

#include <nlohmann/json.hpp>
#include <protozero/buffer_string.hpp>
#include <protozero/pbf_reader.hpp>
#include <protozero/varint.hpp>

namespace holdfast::kube {
namespace {

constexpr auto kText = protozero::pbf_wire_type::length_delimited;

bool has_details(const Status& s) {
  return !s.name.empty() || !s.group.empty() || !s.kind.empty() || !s.causes.empty() ||
         s.retry_after_seconds != 0;
}

/// Appends `,"key":"value"`, without the comma behind an opening brace.
void add_text(std::string& out, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  if (out.back() != '{') out += ',';
  out.append("\"").append(key).append("\":").append(json_quote(value));
}

std::string json_details(const Status& s) {
  std::string out = "{";
  add_text(out, "name", s.name);
  add_text(out, "group", s.group);
  add_text(out, "kind", s.kind);
  if (!s.causes.empty()) {
    out += out.back() == '{' ? "\"causes\":[" : ",\"causes\":[";
    for (const auto& cause : s.causes) {
      if (out.back() != '[') out += ',';
      std::string one = "{";
      add_text(one, "reason", cause.reason);
      add_text(one, "message", cause.message);
      add_text(one, "field", cause.field);
      out += one + '}';
    }
    out += ']';
  }
  if (s.retry_after_seconds != 0) {
    if (out.back() != '{') out += ',';
    out += "\"retryAfterSeconds\":" + std::to_string(s.retry_after_seconds);
  }
  return out + '}';
}

std::string json_body(const Status& s) {
  std::string out = "{\"metadata\":{},\"status\":\"Failure\"";
  add_text(out, "message", s.message);
  add_text(out, "reason", s.reason);
  if (has_details(s)) out += ",\"details\":" + json_details(s);
  return out + ",\"code\":" + std::to_string(s.code) + '}';
}

void add_field(std::string& out, unsigned field, std::string_view value) {
  if (!value.empty()) append_protobuf_field(out, field, value);
}

void add_number(std::string& out, unsigned field, std::uint32_t value) {
  out += static_cast<char>(field << 3);
  protozero::add_varint_to_buffer(&out, value);
}

// Field numbers: metav1 generated.proto, Status, StatusDetails and StatusCause.
std::string protobuf_body(const Status& s) {
  std::string out;
  append_protobuf_field(out, 1, {});
  append_protobuf_field(out, 2, "Failure");
  add_field(out, 3, s.message);
  add_field(out, 4, s.reason);
  if (has_details(s)) {
    std::string details;
    add_field(details, 1, s.name);
    add_field(details, 2, s.group);
    add_field(details, 3, s.kind);
    for (const auto& cause : s.causes) {
      std::string one;
      add_field(one, 1, cause.reason);
      add_field(one, 2, cause.message);
      add_field(one, 3, cause.field);
      append_protobuf_field(details, 4, one);
    }
    if (s.retry_after_seconds != 0) add_number(details, 5, s.retry_after_seconds);
    append_protobuf_field(out, 5, details);
  }
  add_number(out, 6, s.code);
  return out;
}

}  // namespace

std::string status_body(Encoding encoding, const Status& status) {
  return encoding == Encoding::kJson ? json_body(status) : protobuf_body(status);
}

std::string render_status(Encoding encoding, const Status& status) {
  return render_object(encoding, kStatusType, status_body(encoding, status));
}

Status read_status(Encoding encoding, std::string_view body) {
  Status out;
  if (encoding == Encoding::kJson) {
    const auto json = nlohmann::json::parse(body, nullptr, false);
    if (!json.is_object()) return out;
    const auto text = [&json](const char* name) {
      const auto field = json.find(name);
      return field != json.end() && field->is_string() ? field->get<std::string>() : std::string{};
    };
    out.reason = text("reason");
    out.message = text("message");
    return out;
  }
  try {
    protozero::pbf_reader status{body.data(), body.size()};
    while (status.next()) {
      if (status.tag_and_type() == protozero::tag_and_type(3, kText)) {
        out.message = status.get_string();
      } else if (status.tag_and_type() == protozero::tag_and_type(4, kText)) {
        out.reason = status.get_string();
      } else {
        status.skip();
      }
    }
  } catch (const protozero::exception&) {
    return {};
  }
  return out;
}

}  // namespace holdfast::kube
