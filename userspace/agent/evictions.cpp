#include "agent/evictions.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <nlohmann/json.hpp>
#include <protozero/pbf_reader.hpp>
#include <tuple>

#include "holdfast/kube/selector.h"

// Field numbers: k8s.io/api/core/v1/generated.proto.
namespace holdfast::agent {
namespace {

using protozero::pbf_wire_type;
using protozero::tag_and_type;

constexpr auto kBytes = pbf_wire_type::length_delimited;
constexpr auto kVarint = pbf_wire_type::varint;

struct Toleration {
  std::string key, op, value, effect;
  std::optional<std::int64_t> seconds;
};

// core/v1 Toleration.ToleratesTaint, for a taint without a value. (Lt and Gt compare numbers.)
bool tolerates_unreachable(const Toleration& t) {
  if (!t.effect.empty() && t.effect != "NoExecute") return false;
  if (!t.key.empty() && t.key != "node.kubernetes.io/unreachable") return false;
  return t.op == "Exists" || ((t.op.empty() || t.op == "Equal") && t.value.empty());
}

std::optional<std::chrono::seconds> deadline_of(const std::vector<Toleration>& tolerations) {
  const auto first = std::ranges::find_if(tolerations, tolerates_unreachable);
  if (first == tolerations.end()) return std::chrono::seconds{0};
  if (!first->seconds) return std::nullopt;
  return std::chrono::seconds{std::max<std::int64_t>(*first->seconds, 0)};
}

Toleration read_toleration(protozero::pbf_reader message) {
  Toleration out;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case tag_and_type(1, kBytes):
        out.key = message.get_string();
        break;
      case tag_and_type(2, kBytes):
        out.op = message.get_string();
        break;
      case tag_and_type(3, kBytes):
        out.value = message.get_string();
        break;
      case tag_and_type(4, kBytes):
        out.effect = message.get_string();
        break;
      case tag_and_type(5, kVarint):
        out.seconds = message.get_int64();
        break;
      default:
        message.skip();
    }
  }
  return out;
}

std::vector<Toleration> read_protobuf(std::string_view pod) {
  std::vector<Toleration> out;
  protozero::pbf_reader object{pod.data(), pod.size()};
  while (object.next(2, kBytes)) {  // spec
    auto spec = object.get_message();
    while (spec.next(22, kBytes)) out.push_back(read_toleration(spec.get_message()));
  }
  return out;
}

std::vector<Toleration> read_json(std::string_view pod) {
  const auto object = nlohmann::json::parse(pod);
  std::vector<Toleration> out;
  const auto& spec = object.at("spec");
  if (!spec.contains("tolerations")) return out;
  for (const auto& item : spec.at("tolerations")) {
    Toleration one{.key = item.value("key", ""),
                   .op = item.value("operator", ""),
                   .value = item.value("value", ""),
                   .effect = item.value("effect", ""),
                   .seconds = {}};
    if (item.contains("tolerationSeconds")) {
      one.seconds = item.at("tolerationSeconds").get<std::int64_t>();
    }
    out.push_back(std::move(one));
  }
  return out;
}

// The principal that the API server makes of a kubelet's certificate (x509 authenticator and
// authenticated-group adder).
identity::Principal kubelet_of(const std::string& node) {
  identity::Principal out;
  out.username = "system:node:" + node;
  out.groups = {"system:authenticated", "system:nodes"};
  return out;
}

}  // namespace

Result<std::optional<std::chrono::seconds>> deleted_after(kube::Encoding encoding,
                                                          const Slice& pod) {
  try {
    return deadline_of(encoding == kube::Encoding::kJson ? read_json(pod.view())
                                                         : read_protobuf(pod.view()));
  } catch (const std::exception& e) {
    return make_error(Errc::kInvalidArgument, std::string{"not a pod: "} + e.what());
  }
}

std::optional<std::vector<admin::Status::Eviction>> evictions(cache::Store& store,
                                                              const std::string& node) {
  const auto selector = kube::FieldSelector::parse("spec.nodeName=" + node);
  if (!selector) return std::nullopt;
  const std::vector<kube::Representation> forms{{.encoding = kube::Encoding::kProtobuf},
                                                {.encoding = kube::Encoding::kJson}};
  const auto answer = store.list({.principal = kubelet_of(node).id(),
                                  .representation = forms.front(),
                                  .gvr = {.group = "", .version = "v1", .resource = "pods"},
                                  .field_selector = selector->canonical()},
                                 forms, 0);
  if (!answer.snapshot) return std::nullopt;
  std::vector<admin::Status::Eviction> out;
  kube::Object pod;
  while (true) {
    const auto more = answer.snapshot->next(pod);
    if (!more) return std::nullopt;
    if (!*more) break;
    const auto after = deleted_after(answer.snapshot->encoding(), pod.body);
    if (!after) return std::nullopt;
    if (*after) out.push_back({.ns = pod.meta.ns, .pod = pod.meta.name, .after = **after});
  }
  std::ranges::sort(out, {}, [](const auto& e) { return std::tie(e.after, e.ns, e.pod); });
  return out;
}

}  // namespace holdfast::agent
