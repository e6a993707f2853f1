#include <algorithm>

#include "cache/archive.h"

namespace holdfast::cache {

void Archive::remember_shown(Shelf& shelf, const Query& query,
                             const kube::Representation& representation, const kube::Object& object,
                             bool node_component, bool own) {
  const auto group_id = keys_.group(query.principal, query.gvr);
  const auto version = object.meta.resource_version;
  const auto* known = shelf.find_group(group_id);
  if (known == nullptr || known->record.floor < version ||
      known->record.node_component < node_component) {
    auto& group = shelf.edit_group(group_id, query.principal, query.gvr, node_component);
    shelf.raise_floor(group, version);
  }
  const auto object_id = keys_.object(query.ns, query.name);
  auto record = shelf.get_record(group_id, object_id).value_or(GetRecord{});
  record.absence = GetRecord::Absence::kNone;
  record.status.clear();
  const auto body = shelf.body_id(representation, query.gvr, object);
  const auto now = unix_ms(clock_);
  auto it = std::find_if(record.shown.begin(), record.shown.end(), [&](const auto& shown) {
    return shown.representation == representation && shown.subresource == query.subresource;
  });
  if (it == record.shown.end()) {
    shelf.hold_body(body, object);
    record.shown.push_back({representation, query.subresource, body, version, now});
  } else if (it->version <= version && (it->body != body || it->version != version)) {
    if (it->body != body) {
      shelf.hold_body(body, object);
      shelf.release_body(it->body);
    }
    *it = {representation, query.subresource, body, version, now};
  }
  shelf.put_get_record(group_id, object_id, record);
  for (auto* other : shelves()) {
    auto elsewhere = other == &shelf ? std::nullopt : other->get_record(group_id, object_id);
    if (!elsewhere || elsewhere->absence == GetRecord::Absence::kNone) continue;
    elsewhere->absence = GetRecord::Absence::kNone;
    elsewhere->status.clear();
    other->put_get_record(group_id, object_id, *elsewhere);
  }
  // A Scale has its parent's resourceVersion but is another thing.
  if (query.subresource == "scale") return;
  sight({.query = query,
         .ns = query.ns,
         .name = query.name,
         .version = version,
         .object = &object,
         .own = own});
}

void Archive::shown(const Query& query, const RecordOptions& options, const kube::Object& object) {
  remember_shown(shelf(options.residence), query, query.representation, object,
                 options.node_component, false);
}

void Archive::written(const Query& query, const RecordOptions& options,
                      const kube::Representation& representation, const kube::Object& object) {
  Query seen = query;
  seen.representation = representation;
  seen.name = object.meta.name;
  seen.ns = object.meta.ns;
  remember_shown(shelf(options.residence), seen, representation, object, options.node_component,
                 true);
}

void Archive::forget_shown(const Query& query, GetRecord::Absence absence,
                           const std::string& status, Shelf& home) {
  const auto group_id = keys_.group(query.principal, query.gvr);
  const auto object_id = keys_.object(query.ns, query.name);
  const auto since = floor(group_id);
  bool remembered = absence == GetRecord::Absence::kNone;
  for (auto* each : shelves()) {
    const auto before = each->get_record(group_id, object_id);
    if (!before && each != &home) continue;
    if (before)
      for (const auto& shown : before->shown) each->release_body(shown.body);
    GetRecord record;
    if (!remembered && each == &home) {
      record = {.shown = {}, .absence = absence, .status = status, .absent_since = since};
      each->edit_group(group_id, query.principal, query.gvr, false);
      remembered = true;
    }
    each->put_get_record(group_id, object_id, record);
  }
}

void Archive::not_found(const Query& query, const RecordOptions& options,
                        const std::string& status) {
  forget_shown(query, GetRecord::Absence::kNotFound, status, shelf(options.residence));
  if (!query.subresource.empty()) return;
  const auto group_id = keys_.group(query.principal, query.gvr);
  const auto object_id = keys_.object(query.ns, query.name);
  for (auto* each : shelves()) {
    const auto* group = each->find_group(group_id);
    if (group == nullptr) continue;
    const auto collections = group->collections;
    for (const auto& state : collections) {
      // A list that is followed hears of the deletion by itself, in its order.
      if (followers_.contains(state->meta.id) || !state->meta.covers(query.ns, query.name))
        continue;
      if (const auto member = each->member(state->meta, object_id))
        each->hide_member(each->edit_collection(group_id, state->meta.id), object_id, *member,
                          Member::kUnknown);
    }
  }
}

void Archive::deleted(const Query& query) {
  forget_shown(query, GetRecord::Absence::kNone, {}, disk_);
  const auto group_id = keys_.group(query.principal, query.gvr);
  const auto object_id = keys_.object(query.ns, query.name);
  for (auto* each : shelves()) {
    const auto* group = each->find_group(group_id);
    if (group == nullptr) continue;
    const auto collections = group->collections;
    for (const auto& state : collections) {
      if (!state->meta.covers(query.ns, query.name)) continue;
      if (const auto member = each->member(state->meta, object_id))
        each->hide_member(each->edit_collection(group_id, state->meta.id), object_id, *member,
                          Member::kUnknown);
    }
  }
}

void Archive::lost_sight(const Query& query, kube::ResourceVersion version) {
  forget_shown(query, GetRecord::Absence::kNone, {}, disk_);
  const auto group_id = keys_.group(query.principal, query.gvr);
  const auto object_id = keys_.object(query.ns, query.name);
  for (auto* each : shelves()) {
    const auto* group = each->find_group(group_id);
    if (group == nullptr) continue;
    const auto collections = group->collections;
    for (const auto& state : collections) {
      const auto& meta = state->meta;
      if (!meta.covers(query.ns, query.name)) continue;
      // As of its version the list was right: what happened since is newer than that.
      const auto member = each->member(meta, object_id);
      if (member && member->gone == 0)
        each->hold_collection(group_id, meta.id, std::max(version, meta.version + 1));
    }
  }
}

void Archive::unreadable(const Query& query) {
  const auto group_id = keys_.group(query.principal, query.gvr);
  const auto id = keys_.collection(query);
  for (auto* each : shelves()) each->break_collection(group_id, id);
  if (query.name.empty()) return;
  forget_shown(query, GetRecord::Absence::kNone, {}, disk_);
  const auto object_id = keys_.object(query.ns, query.name);
  for (auto* each : shelves()) {
    const auto* group = each->find_group(group_id);
    if (group == nullptr) continue;
    const auto collections = group->collections;
    // Lists share the object's body: one that is damaged is in all of them.
    for (const auto& state : collections)
      if (state->meta.covers(query.ns, query.name) && each->member(state->meta, object_id))
        each->break_collection(group_id, state->meta.id);
  }
}

void Archive::purge(const Query& scope) {
  if (!scope.name.empty() && scope.field_selector.empty()) {
    // It must outlive a restart where what it takes back does.
    const bool on_disk = disk_.find_group(keys_.group(scope.principal, scope.gvr)) != nullptr;
    forget_shown(scope, GetRecord::Absence::kWithheld, {}, on_disk ? disk_ : memory_);
    return;
  }
  abandon_all(scope.principal, scope.gvr);
  for (auto* each : shelves()) {
    std::vector<Id> groups;
    each->commit(false);  // the index then knows every group
    if (scope.gvr.resource.empty()) {
      each->index().each([&](const Id& id, const std::shared_ptr<const GroupState>& group) {
        if (group->record.principal == scope.principal) groups.push_back(id);
      });
      for (const auto& id : groups) each->drop_group(id);
      continue;
    }
    const auto group_id = keys_.group(scope.principal, scope.gvr);
    const auto* group = each->find_group(group_id);
    if (group == nullptr) continue;
    const auto collections = group->collections;
    for (const auto& state : collections) {
      const auto& query = state->meta.query;
      // Who may not list a namespace may not list all of them; who may not list with a selector may
      // not list without. The other way round nothing follows (a kubelet may list its own pods).
      const bool wider = query.ns.empty() || query.ns == scope.ns;
      const bool less_selected =
          (query.label_selector == scope.label_selector || query.label_selector.empty()) &&
          (query.field_selector == scope.field_selector || query.field_selector.empty());
      if (wider && less_selected) each->drop_collection(group_id, state->meta.id);
    }
  }
}

void Archive::forget_resource(const Query& scope) {
  abandon_all(scope.principal, scope.gvr);
  const auto group = keys_.group(scope.principal, scope.gvr);
  for (auto* each : shelves())
    if (each->find_group(group) != nullptr) each->drop_group(group);
}

void Archive::lost_many(const Query& scope) {
  const auto group_id = keys_.group(scope.principal, scope.gvr);
  for (auto* each : shelves()) {
    const auto* group = each->find_group(group_id);
    if (group == nullptr) continue;
    const auto collections = group->collections;
    for (const auto& state : collections) {
      const auto& meta = state->meta;
      if (meta.query.ns.empty() || scope.ns.empty() || meta.query.ns == scope.ns)
        each->hold_collection(group_id, meta.id, meta.version + 1);
    }
    each->drop_loose(group_id);
  }
}

}  // namespace holdfast::cache
