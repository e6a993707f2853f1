#include "approver/objects.h"

#include <openssl/evp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace holdfast::approver {
namespace {

using nlohmann::json;

const json& member(const json& object, const char* name) {
  static const json kNothing;
  return object.is_object() && object.contains(name) ? object.at(name) : kNothing;
}
std::string text(const json& value) {
  return value.is_string() ? value.get<std::string>() : std::string{};
}
std::vector<std::string> texts(const json& list) {
  std::vector<std::string> out;
  if (!list.is_array()) return out;
  for (const auto& item : list) out.push_back(text(item));
  return out;
}

std::string from_base64(const std::string& encoded) {
  std::string out(encoded.size() / 4 * 3 + 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(encoded.data()),
                                   static_cast<int>(encoded.size()));
  if (size < 0) return {};
  // EVP_DecodeBlock counts the padding as zero bytes.
  out.resize(static_cast<std::size_t>(size - std::ranges::count(encoded, '=')));
  return out;
}

bool is_settled(const json& status) {
  if (!text(member(status, "certificate")).empty()) return true;
  const auto& conditions = member(status, "conditions");
  return conditions.is_array() && std::ranges::any_of(conditions, [](const json& condition) {
           const auto type = text(member(condition, "type"));
           return type == "Approved" || type == "Denied" || type == "Failed";
         });
}

RequestObject object_of(const json& value) {
  const auto& metadata = member(value, "metadata");
  const auto& spec = member(value, "spec");
  const auto& seconds = member(spec, "expirationSeconds");
  RequestObject out;
  out.request = {
      .name = text(member(metadata, "name")),
      .uid = text(member(metadata, "uid")),
      .signer = text(member(spec, "signerName")),
      .username = text(member(spec, "username")),
      .groups = texts(member(spec, "groups")),
      .request_pem = from_base64(text(member(spec, "request"))),
      .usages = texts(member(spec, "usages")),
      .expiration_seconds = seconds.is_number_integer() ? seconds.get<std::int64_t>() : 0,
      .settled = is_settled(member(value, "status"))};
  out.json = value.dump();
  return out;
}

}  // namespace

Result<RequestList> parse_requests(std::string_view body) {
  const auto list = json::parse(body, nullptr, false);
  const auto& items = member(list, "items");
  if (text(member(list, "kind")) != "CertificateSigningRequestList" ||
      !(items.is_array() || items.is_null())) {
    return make_error(Errc::kCorrupt, "the answer is no list of CertificateSigningRequests");
  }
  RequestList out{.items = {},
                  .resource_version = text(member(member(list, "metadata"), "resourceVersion"))};
  for (const auto& item : items) out.items.push_back(object_of(item));
  return out;
}

Result<RequestEvent> parse_event(std::string_view line) {
  const auto event = json::parse(line, nullptr, false);
  RequestEvent out{.type = text(member(event, "type")), .object = {}};
  if (out.type.empty()) return make_error(Errc::kCorrupt, "the watch sent something else");
  if (out.type == "ADDED" || out.type == "MODIFIED" || out.type == "DELETED") {
    out.object = object_of(member(event, "object"));
  }
  return out;
}

std::string approval_of(const RequestObject& object, std::string_view now) {
  auto value = json::parse(object.json);
  // Items of a list carry neither.
  value["apiVersion"] = "certificates.k8s.io/v1";
  value["kind"] = "CertificateSigningRequest";
  value["status"]["conditions"].push_back(
      {{"type", "Approved"},
       {"status", "True"},
       {"reason", "HoldfastApprover"},
       {"message", "A node that is opted in asks for the API server's names, for its own agent."},
       {"lastUpdateTime", now}});
  return value.dump();
}

Result<Labels> parse_node_labels(std::string_view body) {
  const auto node = json::parse(body, nullptr, false);
  const auto& metadata = member(node, "metadata");
  if (!metadata.is_object()) return make_error(Errc::kCorrupt, "the answer is no Node");
  Labels labels;
  for (const auto& [key, value] : member(metadata, "labels").items()) labels[key] = text(value);
  return labels;
}

}  // namespace holdfast::approver
