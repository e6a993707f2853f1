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

Shelf& Archive::home_of(const Query& query, const RecordOptions& options, const Id& id,
                        kube::ResourceVersion seen) {
  const auto group = keys_.group(query.principal, query.gvr);
  auto* home = &shelf(options.residence);
  for (auto* each : shelves())
    if (each->find_collection(group, id) != nullptr) home = each;
  home->raise_floor(home->edit_group(group, query.principal, query.gvr, options.node_component),
                    seen);
  return *home;
}

/// `gone_by`: up to when a deleted object's members are older than its deletion.
void Archive::enter(Shelf& shelf, CollectionMeta& meta, const kube::WatchEvent& event,
                    kube::ResourceVersion gone_by) {
  if (event.type == kube::EventType::kDeleted) {
    const auto object_id = keys_.object(event.object.meta.ns, event.object.meta.name);
    const auto member = shelf.member(meta, object_id);
    // Equal: the answer to this principal's own delete was the object as it went.
    if (member && member->version <= gone_by) shelf.remove_member(meta, object_id, *member);
  } else if (event.type != kube::EventType::kBookmark) {
    shelf.put_member(meta, event.object);
  }
}

void Archive::advance(const CollectionState& state, CollectionMeta& meta,
                      kube::ResourceVersion version) {
  meta.version = version;
  meta.list.resource_version = std::to_string(version);
  meta.shown_ms = unix_ms(clock_);
  state.usage->used_ms = meta.shown_ms;
}

void Archive::sight_event(const Query& query, const kube::WatchEvent& event,
                          kube::ResourceVersion version, const Id* source) {
  // Out of a selector's sight is not deleted, unless the selector asks for what never changes.
  CollectionMeta probe;
  probe.query = query;
  const bool certain = query.label_selector.empty() && fit(probe, event.object) == Fit::kStays;
  sight({.query = query,
         .ns = event.object.meta.ns,
         .name = event.object.meta.name,
         .version = version,
         .object = event.type == kube::EventType::kDeleted ? nullptr : &event.object,
         .certain = certain,
         .source = source});
}

bool Archive::apply(const Query& query, const RecordOptions& options, const kube::WatchEvent& event,
                    kube::ResourceVersion& position) {
  if (event.type == kube::EventType::kError) return true;
  const auto version = event.object.meta.resource_version;
  const auto group_id = keys_.group(query.principal, query.gvr);
  const auto id = keys_.collection(query);
  const bool bookmark = event.type == kube::EventType::kBookmark;
  auto& home = home_of(query, options, id, version);
  const auto* state = home.find_collection(group_id, id);
  // The watch and the collection must meet: a gap between them may hide a deletion.
  const bool follows = state != nullptr && !state->meta.broken && state->meta.version >= position;
  if (follows && version > state->meta.version) {
    auto& meta = home.edit_collection(group_id, id);
    enter(home, meta, event, version);
    advance(*state, meta, version);
  } else if (!follows && state != nullptr && state->meta.version < version) {
    // This query was shown what the list may lack: only a list, or a watch without a gap, tells.
    home.hold_collection(group_id, id, version);
  }
  if (position != kUnknown || bookmark)
    position = position == kUnknown ? version : std::max(position, version);
  if (!bookmark) sight_event(query, event, version, follows ? &id : nullptr);
  return true;
}

void Archive::bridge(const Query& query, const RecordOptions& options,
                     const std::vector<kube::WatchEvent>& events, kube::ResourceVersion to,
                     kube::ResourceVersion& position) {
  const auto group_id = keys_.group(query.principal, query.gvr);
  const auto id = keys_.collection(query);
  auto& home = home_of(query, options, id, to);
  const auto* state = home.find_collection(group_id, id);
  // Exactly there: what was deleted before `position` is in no event.
  const bool follows = state != nullptr && !state->meta.broken && state->meta.version == position;
  if (follows && to > position) {
    auto& meta = home.edit_collection(group_id, id);
    for (const auto& event : events) enter(home, meta, event, to);
    home.unhide_members(meta, to);
    advance(*state, meta, to);
  } else if (!follows && state != nullptr && state->meta.version < to) {
    home.hold_collection(group_id, id, to);
  }
  position = to;
  for (const auto& event : events) {
    const bool gone = event.type == kube::EventType::kDeleted;
    sight_event(query, event, gone ? to : event.object.meta.resource_version,
                follows ? &id : nullptr);
  }
}

}  // namespace holdfast::cache
