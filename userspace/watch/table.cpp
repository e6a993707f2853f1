#include "watch/table.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace holdfast::watch {
namespace {

using nlohmann::ordered_json;

const ordered_json* member(const ordered_json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(name);
  return it == object.end() ? nullptr : &*it;
}

std::string text(const ordered_json* value) {
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string{};
}

std::string in_metadata(const ordered_json* object, const char* name) {
  const auto* metadata = object == nullptr ? nullptr : member(*object, "metadata");
  return metadata == nullptr ? std::string{} : text(member(*metadata, name));
}

}  // namespace

std::optional<TableStart> table_start(std::string_view body) {
  auto table = ordered_json::parse(body, nullptr, false);
  if (!table.is_object() || text(member(table, "kind")) != "Table") return std::nullopt;
  TableStart out;
  const bool whole = in_metadata(&table, "continue").empty();
  const bool dated =
      kube::parse_resource_version(in_metadata(&table, "resourceVersion"), out.version);
  if (!whole || !dated || out.version == 0) return std::nullopt;
  const auto* rows = member(table, "rows");
  if (rows == nullptr || !rows->is_array()) return out;  // null: no objects
  const auto* columns = member(table, "columnDefinitions");
  for (const auto& row : *rows) {
    const auto version = in_metadata(member(row, "object"), "resourceVersion");
    ordered_json one{{"kind", "Table"},
                     {"apiVersion", text(member(table, "apiVersion"))},
                     {"metadata", {{"resourceVersion", version}}},
                     {"columnDefinitions", nullptr},
                     {"rows", ordered_json::array({row})}};
    if (columns != nullptr) one["columnDefinitions"] = *std::exchange(columns, nullptr);
    const ordered_json event{{"type", "ADDED"}, {"object", std::move(one)}};
    out.events += event.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    out.events += '\n';
  }
  return out;
}

}  // namespace holdfast::watch
