#include "writes/token_request.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "holdfast/identity/credential.h"
#include "writes/protobuf.h"

// Field numbers: k8s.io/api/authentication/v1/generated.proto.
namespace holdfast::writes {
namespace {

using nlohmann::ordered_json;

constexpr char kRecordVersion = 1;
constexpr std::uint32_t kSpec = 2, kStatus = 3;                             // TokenRequest
constexpr std::uint32_t kAudiences = 1, kBoundObject = 3, kExpiration = 4;  // TokenRequestSpec
constexpr std::uint32_t kToken = 1, kExpirationTimestamp = 2;               // TokenRequestStatus
constexpr std::uint32_t kKind = 1, kApiVersion = 2, kName = 3, kUid = 4;    // BoundObjectReference

const std::string* text(const ordered_json& value) {
  return value.get_ptr<const std::string*>();
}

bool read_bound(const ordered_json& bound, TokenSpec& out) {
  if (bound.is_null()) return true;
  if (!bound.is_object()) return false;
  for (const auto& [key, value] : bound.items()) {
    std::string* const field = key == "kind"         ? &out.kind
                               : key == "apiVersion" ? &out.api_version
                               : key == "name"       ? &out.bound_name
                               : key == "uid"        ? &out.uid
                                                     : nullptr;
    const auto* said = text(value);
    if (field == nullptr || said == nullptr) return false;
    *field = *said;
  }
  return true;
}

bool read_audiences(const ordered_json& list, TokenSpec& out) {
  if (list.is_null()) return true;
  if (!list.is_array()) return false;
  for (const auto& each : list) {
    const auto* audience = text(each);
    if (audience == nullptr) return false;
    out.audiences.push_back(*audience);
  }
  return true;
}

std::optional<TokenSpec> read_json_spec(std::string_view body) {
  const auto request = ordered_json::parse(body, nullptr, false);
  if (!request.is_object()) return std::nullopt;
  TokenSpec out;
  const auto spec = request.find("spec");
  if (spec == request.end() || !spec->is_object()) return out;
  for (const auto& [key, value] : spec->items()) {
    if (key == "audiences") {
      if (!read_audiences(value, out)) return std::nullopt;
    } else if (key == "boundObjectRef") {
      if (!read_bound(value, out)) return std::nullopt;
    } else if (key == "expirationSeconds") {
      if (value.is_null()) continue;
      if (!value.is_number_integer()) return std::nullopt;
      out.expiration_seconds = value.get<std::int64_t>();
    } else if (!value.is_null()) {
      return std::nullopt;
    }
  }
  return out;
}

bool read_protobuf_bound(std::string_view bytes, TokenSpec& out) {
  const auto fields = protobuf_fields(bytes);
  if (!fields) return false;
  for (const auto& field : *fields) {
    std::string* const into = field.number == kKind         ? &out.kind
                              : field.number == kApiVersion ? &out.api_version
                              : field.number == kName       ? &out.bound_name
                              : field.number == kUid        ? &out.uid
                                                            : nullptr;
    if (into == nullptr || !field.length_delimited) return false;
    *into = field.bytes;
  }
  return true;
}

std::optional<TokenSpec> read_protobuf_spec(std::string_view body) {
  TokenSpec out;
  const auto request = protobuf_fields(body);
  if (!request) return std::nullopt;
  for (const auto& part : *request) {
    if (part.number != kSpec) continue;
    const auto fields = protobuf_fields(part.bytes);
    if (!fields) return std::nullopt;
    for (const auto& field : *fields) {
      if (field.number == kAudiences && field.length_delimited) {
        out.audiences.emplace_back(field.bytes);
      } else if (field.number == kBoundObject && field.length_delimited) {
        if (!read_protobuf_bound(field.bytes, out)) return std::nullopt;
      } else if (field.number == kExpiration && field.varint) {
        out.expiration_seconds = *field.varint;
      } else {
        return std::nullopt;
      }
    }
  }
  return out;
}

/// What an answer says of the token, and of the time that was asked for.
struct Said {
  std::string token;
  std::int64_t seconds = 0;
};

std::optional<Said> read_json_answer(std::string_view body) {
  const auto answer = ordered_json::parse(body, nullptr, false);
  if (!answer.is_object()) return std::nullopt;
  Said said;
  const auto spec = answer.find("spec"), status = answer.find("status");
  if (spec == answer.end() || !spec->is_object() || status == answer.end() ||
      !status->is_object()) {
    return std::nullopt;
  }
  const auto seconds = spec->find("expirationSeconds"), token = status->find("token");
  if (seconds != spec->end() && seconds->is_number_integer()) {
    said.seconds = seconds->get<std::int64_t>();
  }
  if (token == status->end() || text(*token) == nullptr) return std::nullopt;
  said.token = *text(*token);
  return said;
}

std::optional<Said> read_protobuf_answer(std::string_view body) {
  const auto answer = protobuf_fields(body);
  if (!answer) return std::nullopt;
  Said said;
  for (const auto& part : *answer) {
    if (part.number != kSpec && part.number != kStatus) continue;
    const auto fields = protobuf_fields(part.bytes);
    if (!fields) return std::nullopt;
    for (const auto& field : *fields) {
      if (part.number == kSpec && field.number == kExpiration && field.varint) {
        said.seconds = *field.varint;
      } else if (part.number == kStatus && field.number == kToken) {
        said.token = field.bytes;
      }
    }
  }
  return said;
}

std::optional<std::string> moved_json(std::string_view body, std::int64_t until) {
  auto answer = ordered_json::parse(body, nullptr, false);
  if (!answer.is_object() || !answer["status"].is_object()) return std::nullopt;
  answer["status"]["expirationTimestamp"] =
      fmt::format("{:%FT%TZ}", fmt::gmtime(static_cast<std::time_t>(until)));
  return answer.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::optional<std::string> moved_protobuf(const kube::Object& object, std::int64_t until) {
  const auto fields = protobuf_fields(object.body.view());
  if (!fields) return std::nullopt;
  std::string body;
  for (const auto& field : *fields) {
    if (field.number != kStatus) {
      body += field.raw;
      continue;
    }
    const auto parts = protobuf_fields(field.bytes);
    if (!parts) return std::nullopt;
    std::string status;
    for (const auto& part : *parts) {
      if (part.number != kExpirationTimestamp) status += part.raw;
    }
    append_time(status, kExpirationTimestamp, until);
    append_bytes(body, kStatus, status);
  }
  return kube::render_object(kube::Encoding::kProtobuf, object.type, body);
}

std::optional<Said> read_answer(kube::Encoding encoding, std::string_view bytes,
                                const kube::Object& object) {
  return encoding == kube::Encoding::kJson ? read_json_answer(bytes)
                                           : read_protobuf_answer(object.body.view());
}

}  // namespace

std::string TokenSpec::canonical() const {
  std::string out = std::to_string(expiration_seconds);
  const auto add = [&out](std::string_view part) {
    out += ' ' + std::to_string(part.size()) + ':';
    out += part;
  };
  for (const auto* part : {&kind, &api_version, &bound_name, &uid}) add(*part);
  for (const auto& audience : audiences) add(audience);
  return out;
}

std::optional<TokenSpec> read_token_spec(kube::Encoding encoding, const Slice& body) {
  const auto object = kube::parse_object(encoding, body);
  if (!object || (!object->type.kind.empty() && object->type.kind != "TokenRequest")) {
    return std::nullopt;
  }
  return encoding == kube::Encoding::kJson ? read_json_spec(body.view())
                                           : read_protobuf_spec(object->body.view());
}

std::optional<TokenAnswer> read_token_answer(kube::Encoding encoding, Slice body) {
  const auto object = kube::parse_object(encoding, body);
  if (!object || object->type.kind != "TokenRequest") return std::nullopt;
  const auto said = read_answer(encoding, body.view(), *object);
  if (!said) return std::nullopt;
  const auto claims = identity::read_claims(said->token);
  if (!claims || claims->expires == 0) return std::nullopt;
  return TokenAnswer{
      .encoding = encoding, .body = std::string{body.view()}, .expires = claims->expires};
}

std::optional<std::string> replay(const TokenAnswer& answer, std::int64_t now) {
  if (answer.expires <= now) return std::nullopt;
  const auto object = kube::parse_object(answer.encoding, Slice::copy(answer.body));
  if (!object) return std::nullopt;
  const auto said = read_answer(answer.encoding, answer.body, *object);
  if (!said || said->seconds <= 0) return std::nullopt;
  const auto until = std::min(answer.expires - now, said->seconds) + now;
  return answer.encoding == kube::Encoding::kJson ? moved_json(answer.body, until)
                                                  : moved_protobuf(*object, until);
}

std::string TokenAnswer::pack() const {
  std::string out{kRecordVersion, static_cast<char>(encoding)};
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(expires >> shift & 0xff);
  return out + body;
}

std::optional<TokenAnswer> TokenAnswer::unpack(std::string_view record) {
  constexpr std::size_t kHeader = 10;
  if (record.size() <= kHeader || record[0] != kRecordVersion || record[1] < 0 || record[1] > 1) {
    return std::nullopt;
  }
  TokenAnswer out{.encoding = static_cast<kube::Encoding>(record[1])};
  for (std::size_t i = 2; i < kHeader; ++i) {
    out.expires = out.expires << 8 | static_cast<unsigned char>(record[i]);
  }
  out.body = record.substr(kHeader);
  return out;
}

}  // namespace holdfast::writes
