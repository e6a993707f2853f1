#include "agent/cache_admin.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "holdfast/telemetry/time_text.h"

namespace holdfast::agent {
namespace {

using Json = nlohmann::ordered_json;
using What = admin::CacheQuery::What;
using State = cache::CollectionInfo::State;

constexpr std::size_t kRows = 20'000;                  // about 100 ms
constexpr std::size_t kMaxPrinted = 48 * 1024 * 1024;  // bytes

admin::Reply failure(int code, const std::string& why) {
  return {code, why + "\n"};
}

std::string hex(const identity::PrincipalId& id) {
  return fmt::format("{:02x}", fmt::join(id.bytes, ""));
}

std::string text_of(const kube::GroupVersionResource& gvr) {
  if (gvr.resource.empty()) return "(other)";
  return gvr.group.empty() ? gvr.resource : gvr.resource + "." + gvr.group;
}

const char* text_of(State state) {
  switch (state) {
    case State::kServed:
      return "served";
    case State::kHeld:
      return "held";
    case State::kBroken:
      return "broken";
  }
  return "broken";
}

std::string form_of(const kube::Representation& representation) {
  std::string out = representation.encoding == kube::Encoding::kJson ? "json" : "protobuf";
  if (representation.transform == kube::Transform::kPartialObjectMetadata) out += ",metadata";
  if (representation.transform == kube::Transform::kTable) out += ",table";
  return out;
}

/// The store knows principals by their hashes; names are known of those whose credentials are.
class Names {
 public:
  explicit Names(const identity::Registry& identities) {
    for (const auto& principal : identities.principals())
      names_.emplace(principal.id(), principal.username);
  }
  [[nodiscard]] std::string of(const identity::PrincipalId& id) const {
    const auto it = names_.find(id);
    return it == names_.end() ? hex(id) : it->second;
  }
  [[nodiscard]] bool matches(const identity::PrincipalId& id, const std::string& asked) const {
    return asked.empty() || asked == hex(id) || asked == of(id);
  }

 private:
  std::map<identity::PrincipalId, std::string> names_;
};

bool matches(const kube::GroupVersionResource& gvr, const std::string& asked) {
  return asked.empty() || asked == text_of(gvr);
}

Json list_json(const cache::CollectionInfo& list, const Names& names, const Clock& clock) {
  return {{"id", list.id},
          {"principal", names.of(list.query.principal)},
          {"resource", text_of(list.query.gvr)},
          {"version", list.query.gvr.version},
          {"namespace", list.query.ns},
          {"name", list.query.name},
          {"label_selector", list.query.label_selector},
          {"field_selector", list.query.field_selector},
          {"form", form_of(list.query.representation)},
          {"resource_version", std::to_string(list.version)},
          {"items", list.items},
          {"bytes", list.bytes},
          {"shown_at", telemetry::to_rfc3339(list.shown_at)},
          {"used_at", telemetry::to_rfc3339(list.used_at)},
          {"age_seconds",
           std::chrono::duration_cast<std::chrono::seconds>(clock.wall() - list.shown_at).count()},
          {"state", text_of(list.state)},
          {"node_component", list.node_component},
          {"on_disk", list.residence == cache::Residence::kDisk}};
}

admin::Reply lists(const admin::CacheQuery& query, cache::Store& store, const Names& names,
                   const Clock& clock) {
  Json out = Json::array();
  for (const auto& list : store.collections())
    if (names.matches(list.query.principal, query.principal) &&
        matches(list.query.gvr, query.resource))
      out.push_back(list_json(list, names, clock));
  return {200, out.dump() + "\n"};
}

admin::Reply usage(const admin::CacheQuery& query, cache::Store& store, const Names& names) {
  Json out = Json::array();
  for (const auto& use : store.usage(kRows)) {
    if (!names.matches(use.principal, query.principal) || !matches(use.gvr, query.resource))
      continue;
    out.push_back({{"principal", names.of(use.principal)},
                   {"resource", text_of(use.gvr)},
                   {"version", use.gvr.version},
                   {"lists", use.lists},
                   {"items", use.items},
                   {"objects", use.objects},
                   {"documents", use.documents},
                   {"bytes", use.bytes},
                   {"used_at", telemetry::to_rfc3339(use.used_at)},
                   {"node_component", use.node_component},
                   {"partial", use.partial}});
  }
  return {200, out.dump() + "\n"};
}

admin::Reply print(const admin::CacheQuery& query, cache::Store& store, const Names& names,
                   const Clock& clock) {
  std::vector<cache::CollectionInfo> found;
  for (auto& list : store.collections())
    if (!query.id.empty() && list.id.starts_with(query.id)) found.push_back(std::move(list));
  if (found.empty()) return failure(404, "no list has this id; see holdfast cache ls");
  if (found.size() > 1) return failure(400, "more than one list has an id that begins so");
  const auto& list = found.front();
  // Whatever of it is asked for: names alone are in `ls`, too.
  if (list.query.gvr.resource == "secrets" && !query.secrets)
    return failure(403, "these are Secrets; --show-secrets prints them");
  if (list.query.representation.encoding != kube::Encoding::kJson)
    return failure(415, "this list is kept as protobuf; only JSON is printed");
  auto answer = store.list(list.query, {list.query.representation}, 0);
  if (!answer.snapshot) return failure(409, "this list is not served (state: held or broken)");
  std::string items;
  kube::Object object;
  while (true) {
    const auto more = answer.snapshot->next(object);
    if (!more) return failure(500, more.error().to_string());
    if (!*more) break;
    const bool asked = (query.ns.empty() || object.meta.ns == query.ns) &&
                       (query.name.empty() || object.meta.name == query.name);
    if (!asked) continue;
    if (!items.empty()) items += ",\n";
    items += object.body.view();
    if (items.size() > kMaxPrinted) return failure(413, "too large; ask for one object of it");
  }
  if (items.empty() && !query.name.empty()) return failure(404, "no such object in this list");
  return {200,
          "{\"list\":" + list_json(list, names, clock).dump() + ",\n\"items\":[" + items + "]}\n"};
}

admin::Reply remove(const admin::CacheQuery& query, cache::Store& store, const Names& names) {
  if (query.principal.empty() && query.resource.empty() && !query.all)
    return failure(400, "what? a principal, a resource, or all");
  std::uint64_t removed = 0, bytes = 0;
  for (const auto& use : store.usage(kRows)) {
    if (!names.matches(use.principal, query.principal) || !matches(use.gvr, query.resource))
      continue;
    store.remove(use.principal, use.gvr);
    ++removed;
    bytes += use.bytes;
  }
  return {200, Json{{"removed", removed}, {"bytes", bytes}}.dump() + "\n"};
}

}  // namespace

admin::Reply answer_cache(const admin::CacheQuery& query, cache::Store& store,
                          const identity::Registry& identities, const Clock& clock) {
  const Names names{identities};
  switch (query.what) {
    case What::kLists:
      return lists(query, store, names, clock);
    case What::kUsage:
      return usage(query, store, names);
    case What::kGet:
      return print(query, store, names, clock);
    case What::kRemove:
      return remove(query, store, names);
  }
  return failure(400, "unknown");
}

}  // namespace holdfast::agent
