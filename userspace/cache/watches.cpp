#include "cache/archive.h"

namespace holdfast::cache {

void Archive::follow(const Query& query, kube::ResourceVersion shown) {
  const auto group = keys_.group(query.principal, query.gvr);
  const auto id = keys_.collection(query);
  ++followers_[id];
  for (auto* each : shelves()) {
    const auto* state = each->find_collection(group, id);
    if (state != nullptr && state->meta.version < shown) each->hold_collection(group, id, shown);
  }
}

void Archive::unfollow(const Query& query) {
  const auto it = followers_.find(keys_.collection(query));
  if (it != followers_.end() && --it->second == 0) followers_.erase(it);
}

void Archive::lost_events(const Query& query) {
  const auto id = keys_.group(query.principal, query.gvr);
  for (auto* each : shelves()) {
    const auto* group = each->find_group(id);
    if (group == nullptr) continue;
    const auto collections = group->collections;
    for (const auto& state : collections) {
      const auto& other = state->meta.query;
      if (other.ns.empty() || query.ns.empty() || other.ns == query.ns)
        each->break_collection(id, state->meta.id);
    }
    each->drop_loose(id);
  }
}

bool Archive::apply(const Query& query, const RecordOptions& options, const kube::WatchEvent& event,
                    kube::ResourceVersion& position) {
  if (event.type == kube::EventType::kError) return true;
  const auto version = event.object.meta.resource_version;
  const auto group_id = keys_.group(query.principal, query.gvr);
  const auto id = keys_.collection(query);
  const bool bookmark = event.type == kube::EventType::kBookmark;
  const bool gone = event.type == kube::EventType::kDeleted;

  auto* home = &shelf(options.residence);
  for (auto* each : shelves())
    if (each->find_collection(group_id, id) != nullptr) home = each;
  auto& group = home->edit_group(group_id, query.principal, query.gvr, options.node_component);
  home->raise_floor(group, version);

  const auto* state = home->find_collection(group_id, id);
  // The watch and the collection must meet: a gap between them may hide a deletion.
  const bool follows = state != nullptr && !state->meta.broken && state->meta.version >= position;
  if (follows && version > state->meta.version) {
    auto& meta = home->edit_collection(group_id, id);
    if (gone) {
      const auto object_id = keys_.object(event.object.meta.ns, event.object.meta.name);
      const auto member = home->member(meta, object_id);
      // Equal: the answer to this principal's own delete was the object as it went.
      if (member && member->version <= version) home->remove_member(meta, object_id, *member);
    } else if (!bookmark) {
      home->put_member(meta, event.object);
    }
    meta.version = version;
    meta.list.resource_version = std::to_string(version);
    meta.shown_ms = unix_ms(clock_);
    state->usage->used_ms = meta.shown_ms;
  } else if (!follows && state != nullptr && state->meta.version < version) {
    // This query was shown what the list may lack: only a list, or a watch without a gap, tells.
    home->hold_collection(group_id, id, version);
  }
  if (position != kUnknown || bookmark)
    position = position == kUnknown ? version : std::max(position, version);

  if (!bookmark) {
    // Out of a selector's sight is not deleted, unless the selector asks for what never changes.
    CollectionMeta probe;
    probe.query = query;
    const bool certain = query.label_selector.empty() && fit(probe, event.object) == Fit::kStays;
    sight({.query = query,
           .ns = event.object.meta.ns,
           .name = event.object.meta.name,
           .version = version,
           .object = gone ? nullptr : &event.object,
           .certain = certain,
           .source = follows ? &id : nullptr});
  }
  return true;
}

}  // namespace holdfast::cache
