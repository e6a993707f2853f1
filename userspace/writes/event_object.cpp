#include "writes/event_object.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/rand.h>

#include <array>
#include <nlohmann/json.hpp>

#include "writes/protobuf.h"

namespace holdfast::writes {
namespace {

using nlohmann::ordered_json;

// k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto, ObjectMeta.
constexpr std::uint32_t kMetadata = 1;
constexpr std::uint32_t kName = 1, kGenerateName = 2, kNamespace = 3, kUid = 5, kCreation = 8;

// k8s.io/apiserver/pkg/storage/names/generate.go
constexpr std::size_t kMaxGenerateName = 58;
constexpr std::string_view kSuffixLetters = "bcdfghjklmnpqrstvwxz2456789";

struct Names {
  std::string name, ns;
};

// The names that the object will have; empty when it can't have any.
std::optional<Names> names_of(const kube::ObjectMeta& meta, std::string_view generate_name,
                              const std::string& ns, const Invented& invented) {
  if (!meta.ns.empty() && meta.ns != ns) return std::nullopt;
  if (!meta.name.empty()) return Names{meta.name, ns};
  if (generate_name.empty()) return std::nullopt;
  return Names{std::string{generate_name.substr(0, kMaxGenerateName)} + invented.suffix, ns};
}

struct Bodies {
  std::string answer, upload;  // canonical
  std::string name;
};

std::optional<Bodies> complete_json(const kube::Object& object, const std::string& ns,
                                    const Invented& invented) {
  auto event = ordered_json::parse(object.body.view(), nullptr, false);
  if (!event.is_object() || !event["metadata"].is_object()) return std::nullopt;
  auto& meta = event["metadata"];
  const auto generate = meta.find("generateName");
  const auto* prefix = generate == meta.end() ? nullptr : generate->get_ptr<const std::string*>();
  const auto names = names_of(object.meta, prefix ? *prefix : std::string{}, ns, invented);
  if (!names) return std::nullopt;
  Bodies out{.name = names->name};
  meta["name"] = names->name;
  meta["namespace"] = names->ns;
  constexpr auto kReplace = ordered_json::error_handler_t::replace;
  out.upload = event.dump(-1, ' ', false, kReplace);
  meta["uid"] = invented.uid;
  meta["creationTimestamp"] =
      fmt::format("{:%FT%TZ}", fmt::gmtime(static_cast<std::time_t>(invented.created)));
  out.answer = event.dump(-1, ' ', false, kReplace);
  return out;
}

std::optional<Bodies> complete_protobuf(const kube::Object& object, const std::string& ns,
                                        const Invented& invented) {
  const auto event = protobuf_fields(object.body.view());
  if (!event) return std::nullopt;
  std::string_view given;
  std::string rest;
  for (const auto& field : *event) {
    if (field.number == kMetadata) {
      given = field.bytes;
    } else {
      rest += field.raw;
    }
  }
  const auto fields = protobuf_fields(given);
  if (!fields) return std::nullopt;
  std::string meta;
  std::string_view prefix;
  for (const auto& field : *fields) {
    if (field.number == kGenerateName) prefix = field.bytes;
    if (field.number != kName && field.number != kNamespace && field.number != kUid &&
        field.number != kCreation) {
      meta += field.raw;
    }
  }
  const auto names = names_of(object.meta, prefix, ns, invented);
  if (!names) return std::nullopt;
  append_bytes(meta, kName, names->name);
  append_bytes(meta, kNamespace, names->ns);
  Bodies out{.name = names->name};
  append_bytes(out.upload, kMetadata, meta);
  out.upload += rest;
  append_bytes(meta, kUid, invented.uid);
  append_time(meta, kCreation, invented.created);
  append_bytes(out.answer, kMetadata, meta);
  out.answer += rest;
  return out;
}

}  // namespace

Invented Invented::now(std::int64_t seconds) {
  std::array<unsigned char, 21> random{};
  RAND_bytes(random.data(), random.size());
  Invented out{.created = seconds};
  for (int i = 16; i < 21; ++i) out.suffix += kSuffixLetters[random[i] % kSuffixLetters.size()];
  random[6] = (random[6] & 0x0f) | 0x40;  // RFC 9562: version 4, the variant of that RFC
  random[8] = (random[8] & 0x3f) | 0x80;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out.uid += '-';
    out.uid += fmt::format("{:02x}", random[i]);
  }
  return out;
}

std::optional<TakenEvent> take_event(kube::Encoding encoding, const Slice& body,
                                     const kube::GroupVersionResource& gvr, const std::string& ns,
                                     const Invented& invented) {
  const auto object = kube::parse_object(encoding, body);
  if (!object) return std::nullopt;
  const kube::TypeMeta type{gvr.group.empty() ? gvr.version : gvr.group + "/" + gvr.version,
                            "Event"};
  const auto& said = object->type;
  if ((!said.kind.empty() && said.kind != type.kind) ||
      (!said.api_version.empty() && said.api_version != type.api_version)) {
    return std::nullopt;
  }
  auto bodies = encoding == kube::Encoding::kJson ? complete_json(*object, ns, invented)
                                                  : complete_protobuf(*object, ns, invented);
  if (!bodies) return std::nullopt;
  return TakenEvent{.answer = kube::render_object(encoding, type, bodies->answer),
                    .upload = kube::render_object(encoding, type, bodies->upload),
                    .name = std::move(bodies->name)};
}

}  // namespace holdfast::writes
