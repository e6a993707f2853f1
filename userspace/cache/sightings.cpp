#include <algorithm>

#include "cache/archive.h"
#include "cache/codec.h"
#include "holdfast/kube/selector.h"

namespace holdfast::cache {
namespace {

/// Fields that an object keeps for as long as it is bound: a version of it cannot leave the list.
bool lasting(const CollectionMeta& meta) {
  const auto& text = meta.query.field_selector;
  if (text.empty()) return true;
  // A pod's node is set once (k8s.io/kubernetes pkg/apis/core/validation: nodeName is immutable).
  if (meta.query.gvr.group.empty() && meta.query.gvr.resource == "pods" &&
      text.starts_with("spec.nodeName=") && text.find(',') == std::string::npos)
    return true;
  const auto selector = kube::FieldSelector::parse(text);
  return selector && selector->metadata_only();
}

bool overlap(const Query& a, const Query& b) {
  return a.subresource.empty() && b.subresource.empty() &&
         (a.ns.empty() || b.ns.empty() || a.ns == b.ns) &&
         (a.name.empty() || b.name.empty() || a.name == b.name);
}

Id object_of(const std::string& member_key) {
  Decoder in{std::string_view{member_key}.substr(member_key.size() - sizeof(Id::bytes))};
  return in.id();
}

}  // namespace

Archive::Fit Archive::fit(const CollectionMeta& meta, const kube::Object& object) {
  if (!meta.query.label_selector.empty()) {
    const auto selector = kube::LabelSelector::parse(meta.query.label_selector);
    if (!selector) return Fit::kUnknown;
    if (!selector->matches(object.meta.labels)) return Fit::kLeaves;
  }
  return lasting(meta) ? Fit::kStays : Fit::kUnknown;
}

kube::ResourceVersion Archive::floor(const Id& group) const {
  kube::ResourceVersion out = 0;
  for (const Shelf* shelf : {&disk_, &memory_})
    if (const auto* state = shelf->find_group(group)) out = std::max(out, state->record.floor);
  return out;
}

void Archive::sight(const Sighting& sighting) {
  if (sighting.version == 0) return;
  outdate_documents(sighting.query, sighting.version);
  const auto group = keys_.group(sighting.query.principal, sighting.query.gvr);
  for (auto* shelf : shelves()) {
    if (shelf->find_group(group) == nullptr) continue;
    sight_collections(*shelf, group, sighting);
    sight_record(*shelf, group, sighting);
  }
}

void Archive::outdate_documents(const Query& query, kube::ResourceVersion version) {
  const auto id = keys_.group(query.principal, documents(query.gvr));
  for (auto* shelf : shelves()) {
    const auto* group = shelf->find_group(id);
    if (group != nullptr && group->record.floor < version) shelf->drop_group(id);
  }
}

void Archive::sight_collections(Shelf& shelf, const Id& group, const Sighting& sighting) {
  const auto object_id = keys_.object(sighting.ns, sighting.name);
  const auto collections = shelf.find_group(group)->collections;
  for (const auto& state : collections) {
    const auto& meta = state->meta;
    if (sighting.source != nullptr && meta.id == *sighting.source) continue;
    if (!meta.covers(sighting.ns, sighting.name) || meta.version >= sighting.version) continue;
    const auto member = shelf.member(meta, object_id);
    if (member && member->version >= sighting.version) continue;
    const bool same = meta.query.representation == sighting.query.representation;
    if (!member || member->gone != 0) {
      // What was shown by other means is no part of a list that was shown without it.
      if (!sighting.own || !same || !meta.all_of(sighting.name)) continue;
      // An answer that was late: it is gone since.
      if (member && member->gone != Member::kUnknown && member->gone >= sighting.version) continue;
      auto& edited = shelf.edit_collection(group, meta.id);
      if (member) {
        shelf.remove_member(edited, object_id, *member);
        edited.removed = std::max(edited.removed, sighting.version);
      }
      shelf.put_member(edited, *sighting.object);
      continue;
    }
    auto& edited = shelf.edit_collection(group, meta.id);
    const auto how = sighting.object == nullptr ? (sighting.certain ? Fit::kLeaves : Fit::kUnknown)
                                                : fit(meta, *sighting.object);
    if (how == Fit::kLeaves) {
      shelf.hide_member(edited, object_id, *member, sighting.version);
    } else if (how == Fit::kStays && same) {
      shelf.put_member(edited, *sighting.object);
    } else {
      edited.wanted = std::max(edited.wanted, sighting.version);
    }
  }
}

void Archive::sight_record(Shelf& shelf, const Id& group, const Sighting& sighting) {
  const auto object_id = keys_.object(sighting.ns, sighting.name);
  auto record = shelf.get_record(group, object_id);
  if (!record) return;
  if (sighting.object != nullptr && sighting.version > record->absent_since) {
    record->absence = GetRecord::Absence::kNone;
    record->status.clear();
  }
  std::vector<GetRecord::Shown> kept;
  for (auto& shown : record->shown) {
    if (shown.version >= sighting.version) {
      kept.push_back(std::move(shown));
      continue;
    }
    const auto old = shown.body;
    if (sighting.object != nullptr && shown.subresource.empty() &&
        shown.representation == sighting.query.representation) {
      shown.body = shelf.body_id(shown.representation, sighting.query.gvr, *sighting.object);
      shown.version = sighting.version;
      shown.shown_ms = unix_ms(clock_);
      shelf.hold_body(shown.body, *sighting.object);
      kept.push_back(std::move(shown));
    }
    shelf.release_body(old);
  }
  record->shown = std::move(kept);
  shelf.put_get_record(group, object_id, *record);
}

/// `newer` is a member of `other` and newer than what `meta` holds of that object.
void Archive::bring_up(Shelf& shelf, CollectionMeta& meta, const CollectionMeta& other, Shelf& from,
                       const Id& object, const Member& newer) {
  kube::Object probe;
  probe.meta.labels = newer.labels;
  const auto how = fit(meta, probe);
  if (how == Fit::kLeaves) {
    if (const auto held = shelf.member(meta, object))
      shelf.hide_member(meta, object, *held, newer.version);
  } else if (how == Fit::kStays && &shelf == &from &&
             meta.query.representation == other.query.representation) {
    shelf.share_member(meta, newer);
  } else {
    meta.wanted = std::max(meta.wanted, newer.version);
  }
}

void Archive::reconcile_with(Shelf& shelf, CollectionMeta& fresh, Shelf& other_shelf,
                             const Id& other) {
  const auto known = other_shelf.find_collection(fresh.group, other)->meta;
  // Changes are made on the staged copy; `known` stays as it was when the list came in.
  if (known.members > 0)
    (void)other_shelf.txn().each(
        Keys::members(known.id, known.generation),
        [&](const std::string& key, std::string_view plain, bool ok) {
          const auto theirs = ok ? decode_member(plain) : std::nullopt;
          if (!theirs) return true;  // counted and broken when it is read
          const auto id = object_of(key);
          const auto ours = shelf.member(fresh, id);
          if (theirs->gone != 0 || (ours && ours->gone != 0)) return true;
          if (ours && ours->version > theirs->version && known.version < ours->version) {
            bring_up(other_shelf, other_shelf.edit_collection(fresh.group, other), fresh, shelf, id,
                     *ours);
          } else if (ours && theirs->version > ours->version && fresh.version < theirs->version) {
            bring_up(shelf, fresh, known, other_shelf, id, *theirs);
          } else if (!ours && fresh.unselected() && fresh.covers(theirs->ns, theirs->name) &&
                     fresh.version > theirs->version && fresh.version > known.version) {
            other_shelf.hide_member(other_shelf.edit_collection(fresh.group, other), id, *theirs,
                                    fresh.version);
          }
          return true;
        });
  if (fresh.members == 0 || fresh.version >= known.version || !known.unselected() || !known.whole())
    return;
  (void)shelf.txn().each(Keys::members(fresh.id, fresh.generation),
                         [&](const std::string& key, std::string_view plain, bool ok) {
                           const auto ours = ok ? decode_member(plain) : std::nullopt;
                           if (!ours || !known.covers(ours->ns, ours->name)) return true;
                           const auto id = object_of(key);
                           const auto theirs = other_shelf.member(known, id);
                           const bool there = theirs && theirs->gone == 0;
                           if (!there && ours->version < known.version)
                             shelf.hide_member(fresh, id, *ours, known.version);
                           return true;
                         });
}

/// The list is older than what was delivered before: objects that were got in newer versions.
void Archive::reconcile_records(Shelf& shelf, CollectionMeta& fresh) {
  for (auto* each : shelves()) {
    (void)each->txn().each(Keys::row(Row::kGet, fresh.group),
                           [&](const std::string& key, std::string_view plain, bool ok) {
                             const auto record = ok ? decode_get(plain) : std::nullopt;
                             if (!record) return true;
                             const auto ours = shelf.member(fresh, object_of(key));
                             if (!ours) return true;
                             for (const auto& shown : record->shown)
                               if (shown.version > ours->version)
                                 fresh.wanted = std::max(fresh.wanted, shown.version);
                             return true;
                           });
  }
}

void Archive::reconcile(Shelf& shelf, CollectionMeta& fresh, kube::ResourceVersion floor) {
  if (!fresh.query.subresource.empty()) return;
  for (auto* each : shelves()) {
    const auto* group = each->find_group(fresh.group);
    if (group == nullptr) continue;
    const auto collections = group->collections;
    for (const auto& state : collections)
      if (state->meta.id != fresh.id && (state->meta.members > 0 || fresh.members > 0) &&
          overlap(state->meta.query, fresh.query))
        reconcile_with(shelf, fresh, *each, state->meta.id);
  }
  if (fresh.version < floor) reconcile_records(shelf, fresh);
}

}  // namespace holdfast::cache
