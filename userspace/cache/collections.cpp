#include <algorithm>

#include "cache/codec.h"
#include "cache/shelf.h"

namespace holdfast::cache {
namespace {

/// What a collection costs beside its members: its own row, roughly.
constexpr std::size_t kMetaBytes = 512;

}  // namespace

std::optional<Member> Shelf::member(const CollectionMeta& meta, const Id& object) {
  std::string plain;
  auto found = txn_.get(Keys::member(meta.id, meta.generation, object), plain);
  if (found && !*found) return std::nullopt;
  auto out = found ? decode_member(plain) : std::nullopt;
  if (!out) ++counters_.corrupt;
  return out;
}

void Shelf::put_member(CollectionMeta& meta, const kube::Object& object) {
  const auto object_id = keys_.object(object.meta.ns, object.meta.name);
  const auto before = member(meta, object_id);
  if (before && before->version > object.meta.resource_version) return;
  Member next{.body = body_id(meta.query.representation, meta.query.gvr, object),
              .version = object.meta.resource_version,
              .size = static_cast<std::uint32_t>(object.body.size()),
              .ns = object.meta.ns,
              .name = object.meta.name,
              .labels = object.meta.labels};
  // Its end is known already, and what comes before it changes nothing about that.
  if (before && before->gone >= next.version && before->gone != Member::kUnknown)
    next.gone = before->gone;
  if (before && before->body == next.body && before->gone == next.gone) return;
  hold_body(next.body, object);
  if (before) remove_member(meta, object_id, *before);
  add_member(meta, object_id, next);
}

void Shelf::share_member(CollectionMeta& meta, const Member& next) {
  const auto object_id = keys_.object(next.ns, next.name);
  const auto before = member(meta, object_id);
  if (before && (before->version > next.version || before->body == next.body)) return;
  hold_body(next.body);
  if (before) remove_member(meta, object_id, *before);
  add_member(meta, object_id, next);
}

void Shelf::add_member(CollectionMeta& meta, const Id& object, const Member& member) {
  const auto key = Keys::member(meta.id, meta.generation, object);
  const auto plain = encode(member);
  charge(key.size(), plain.size());
  txn_.put(key, plain);
  ++meta.members;
  meta.bytes += member.size;
  if (member.gone != 0) ++meta.gone;
}

void Shelf::hide_member(CollectionMeta& meta, const Id& object, const Member& member,
                        kube::ResourceVersion version) {
  if (member.gone >= version) return;
  auto hidden = member;
  hidden.gone = version;
  txn_.put(Keys::member(meta.id, meta.generation, object), encode(hidden));  // of the same size
  if (member.gone == 0) ++meta.gone;
}

void Shelf::unhide_members(CollectionMeta& meta, kube::ResourceVersion version) {
  if (meta.gone == 0) return;
  std::vector<std::pair<std::string, Member>> back;
  (void)txn_.each(Keys::members(meta.id, meta.generation),
                  [&](const std::string& key, std::string_view plain, bool ok) {
                    auto member = ok ? decode_member(plain) : std::nullopt;
                    if (!member || member->gone == 0) return true;
                    if (member->gone <= version || member->gone == Member::kUnknown)
                      back.emplace_back(key, std::move(*member));
                    return true;
                  });
  for (auto& [key, member] : back) {
    member.gone = 0;
    txn_.put(key, encode(member));
    if (meta.gone > 0) --meta.gone;
  }
}

void Shelf::remove_member(CollectionMeta& meta, const Id& object, const Member& member) {
  const auto key = Keys::member(meta.id, meta.generation, object);
  credit(key.size(), encode(member).size());
  txn_.erase(key);
  release_body(member.body);
  if (meta.members > 0) --meta.members;
  if (member.gone != 0 && meta.gone > 0) --meta.gone;
  meta.bytes -= std::min<std::uint64_t>(meta.bytes, member.size);
}

void Shelf::mark_pending(const Id& collection, std::uint64_t generation) {
  txn_.put_clear(Keys::pending(collection, generation), "");
}

void Shelf::publish(CollectionMeta meta) {
  txn_.erase(Keys::pending(meta.id, meta.generation));
  auto& group = edit_group(meta.group, meta.query.principal, meta.query.gvr, meta.node_component);
  auto& staged = stage(meta.group);
  staged.collections.insert(meta.id);
  auto next = std::make_shared<CollectionState>();
  for (auto& state : group.collections) {
    if (state->meta.id != meta.id) continue;
    discard(meta.id, state->meta.generation);
    next->usage = state->usage;
    next->usage->used_ms = std::max<std::int64_t>(next->usage->used_ms, meta.shown_ms);
    next->meta = std::move(meta);
    state = std::move(next);
    return;
  }
  totals_.live += kMetaBytes;
  next->usage->used_ms = meta.shown_ms;
  const Id id = meta.id, group_id = meta.group;
  next->meta = std::move(meta);
  group.collections.push_back(std::move(next));
  limit_group(group, group_id, id);
}

void Shelf::limit_group(GroupState& group, const Id& id, const Id& newest) {
  const auto limit = group.record.node_component ? kMaxOfNodeComponent : kMaxOfGroup;
  if (group.collections.size() <= limit) return;
  const auto oldest = std::min_element(
      group.collections.begin(), group.collections.end(), [&](const auto& a, const auto& b) {
        const bool a_stays = a->meta.id == newest, b_stays = b->meta.id == newest;
        return std::pair{a_stays, a->usage->used_ms.load()} <
               std::pair{b_stays, b->usage->used_ms.load()};
      });
  const Id goes = (*oldest)->meta.id;
  drop_collection(id, goes);
  ++counters_.evictions;
}

void Shelf::drop_collection(const Id& group, const Id& id) {
  const auto* state = find_collection(group, id);
  if (state == nullptr) return;
  discard(id, state->meta.generation);
  totals_.live -= kMetaBytes;
  auto& staged = stage(group);
  staged.collections.insert(id);
  std::erase_if(staged.state->collections, [&](const auto& s) { return s->meta.id == id; });
}

void Shelf::break_collection(const Id& group, const Id& id) {
  const auto* state = find_collection(group, id);
  if (state != nullptr && !state->meta.broken) edit_collection(group, id).broken = true;
}

void Shelf::hold_collection(const Id& group, const Id& id, kube::ResourceVersion version) {
  const auto* state = find_collection(group, id);
  if (state != nullptr && state->meta.wanted < version) edit_collection(group, id).wanted = version;
}

void Shelf::drop_group(const Id& group) {
  drop_loose(group);
  auto& staged = stage(group);
  const auto collections = staged.state->collections;
  for (const auto& state : collections) drop_collection(group, state->meta.id);
  staged.state = nullptr;
}

void Shelf::discard(const Id& collection, std::uint64_t generation) {
  mark_pending(collection, generation);
  staged_garbage_.emplace_back(collection, generation);
}

void Shelf::release_member_row(const std::string& key, std::string_view plain, bool ok) {
  txn_.erase(key);
  const auto member = ok ? decode_member(plain) : std::nullopt;
  if (!member) {
    ++counters_.corrupt;
    return;
  }
  credit(key.size(), plain.size());
  release_body(member->body);
}

bool Shelf::sweep(std::size_t limit) {
  if (garbage_.empty()) return false;
  const auto [collection, generation] = garbage_.front();
  // Generation 0 stands for all of a collection whose own row was lost.
  const auto prefix =
      generation == 0 ? Keys::row(Row::kMember, collection) : Keys::members(collection, generation);
  bool finished = true;
  const auto read = txn_.each(prefix, [&](const std::string& key, std::string_view plain, bool ok) {
    if (limit == 0) {
      finished = false;
      return false;
    }
    --limit;
    release_member_row(key, plain, ok);
    return true;
  });
  if (finished || !read) {
    txn_.erase(Keys::pending(collection, generation));
    garbage_.pop_front();
  }
  return true;
}

/// Asking while the link is up is use, too.
void Shelf::touch_loose(const Id& group) {
  if (const auto* state = find_group(group)) state->loose->used_ms = unix_ms(clock_);
}

std::optional<GetRecord> Shelf::get_record(const Id& group, const Id& object) {
  std::string plain;
  auto found = txn_.get(Keys::row(Row::kGet, group, object), plain);
  if (found && !*found) return std::nullopt;
  auto out = found ? decode_get(plain) : std::nullopt;
  if (!out) ++counters_.corrupt;
  return out;
}

/// Bodies are held and released by the caller.
void Shelf::put_get_record(const Id& group, const Id& object, const GetRecord& record) {
  touch_loose(group);
  const auto key = Keys::row(Row::kGet, group, object);
  std::string before;
  const auto found = txn_.get(key, before);
  const bool there = found && *found;
  const bool nothing = record.shown.empty() && record.absence == GetRecord::Absence::kNone;
  const auto plain = nothing ? std::string{} : encode(record);
  // Most GETs show what was shown before: no reason to write. While writing fails each is, since
  // the row may be one that was lost, and only a write finds out that the disk is well again.
  if (there && before == plain && !failing_) return;
  if (there) credit(key.size(), before.size());
  if (nothing) {
    txn_.erase(key);
    return;
  }
  charge(key.size(), plain.size());
  txn_.put(key, plain);
}

void Shelf::put_document(const Id& group, const Id& id, const DocumentRecord& record) {
  touch_loose(group);
  const auto key = Keys::row(Row::kDocument, group, id);
  std::string before;
  if (auto found = txn_.get(key, before); found && *found) credit(key.size(), before.size());
  const auto plain = encode(record);
  charge(key.size(), plain.size());
  txn_.put(key, plain);
}

void Shelf::drop_document(const Id& group, const Id& id) {
  const auto key = Keys::row(Row::kDocument, group, id);
  std::string before;
  if (auto found = txn_.get(key, before); !found || !*found) return;
  credit(key.size(), before.size());
  txn_.erase(key);
}

void Shelf::drop_loose(const Id& group) {
  constexpr std::size_t kStep = 4096;  // rows
  for (const Row kind : {Row::kGet, Row::kDocument}) {
    bool more = true;
    while (more) {
      more = false;
      std::size_t left = kStep;
      // A scan that fails leaves rows behind; they are met again when they are read.
      (void)txn_.each(Keys::row(kind, group),
                      [&](const std::string& key, std::string_view plain, bool ok) {
                        if (left-- == 0) {
                          more = true;
                          return false;
                        }
                        txn_.erase(key);
                        if (!ok) return true;
                        if (kind == Row::kGet) {
                          const auto record = decode_get(plain);
                          if (!record) return true;
                          for (const auto& shown : record->shown) release_body(shown.body);
                        }
                        credit(key.size(), plain.size());
                        return true;
                      });
      // Nothing is wrong with some of them being there for longer than others.
      if (more && !commit(false)) return;
    }
  }
}

}  // namespace holdfast::cache
