#include <algorithm>

#include "cache/shelf.h"

namespace holdfast::cache {

bool Shelf::make_room() {
  const auto too_large = [&] { return totals_.live > static_cast<std::int64_t>(budget_); };
  const auto too_many = [&](std::size_t percent) {
    return index_.size() > kMaxGroups / 100 * percent ||
           shown_collections_ > kMaxCollections / 100 * percent;
  };
  if (!too_large() && !too_many(100)) return true;
  // What is discarded already counts until it is swept.
  const auto sweep_all = [&] {
    while (sweep(512))
      if (!commit(false)) return false;
    return commit(false);
  };
  if (!sweep_all()) return false;
  std::vector<Unit> units;
  index_.each([&](const Id& id, const std::shared_ptr<const GroupState>& group) {
    units.push_back({id, std::nullopt, group->record.node_component, group->loose->used_ms});
    for (const auto& state : group->collections)
      units.push_back({id, state->meta.id, state->meta.node_component, state->usage->used_ms});
  });
  std::sort(units.begin(), units.end(), [](const Unit& a, const Unit& b) {
    return std::tie(a.node_component, a.used_ms) < std::tie(b.node_component, b.used_ms);
  });
  for (const auto& unit : units) {
    // Some more than one: looking at all of them is dear.
    if (!too_large() && !too_many(90)) break;
    const auto before = totals_.live;
    const auto* group = find_group(unit.group);
    if (group == nullptr) continue;
    if (unit.collection) {
      drop_collection(unit.group, *unit.collection);
    } else if (group->collections.empty()) {
      drop_group(unit.group);
    } else {
      drop_loose(unit.group);
    }
    if (!commit(false) || !sweep_all()) return false;
    if (totals_.live < before) ++counters_.evictions;
  }
  return !too_large();
}

void Shelf::save_usage() {
  std::vector<std::pair<Id, Id>> collections;
  std::vector<Id> groups;
  index_.each([&](const Id& id, const std::shared_ptr<const GroupState>& group) {
    if (group->loose->used_ms != group->record.used_ms) groups.push_back(id);
    for (const auto& state : group->collections)
      if (state->usage->used_ms != state->meta.used_ms)
        collections.emplace_back(id, state->meta.id);
  });
  for (const auto& id : groups) stage(id).record_changed = true;
  for (const auto& [group, id] : collections) {
    const std::int64_t used = find_collection(group, id)->usage->used_ms;
    edit_collection(group, id).used_ms = used;
  }
}

}  // namespace holdfast::cache
