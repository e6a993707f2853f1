#include <algorithm>

#include "cache/engine.h"
#include "holdfast/kube/selector.h"

namespace holdfast::cache {
namespace {

/// How long a reader waits for changes that its principal has seen and the writer has not yet
/// committed: a commit takes well below a millisecond, a flush of RocksDB 15 to 26 ms.
constexpr std::chrono::milliseconds kSettle{50};

struct Source {
  Shelf* shelf = nullptr;
  std::shared_ptr<const View> view;
  std::shared_ptr<const GroupState> group;
};

std::vector<Source> sources(Engine& engine, const Id& group) {
  std::vector<Source> out;
  for (auto* shelf : {engine.disk.get(), engine.memory.get()}) {
    auto view = shelf->view();
    auto state = view->index.find(group);
    if (state) out.push_back({shelf, std::move(view), std::move(state)});
  }
  return out;
}

bool settled(Engine& engine, const Id& group, const Query& query,
             std::chrono::milliseconds patience = kSettle) {
  if (engine.unsettled.idle()) return true;
  return engine.unsettled.wait(group, patience) &&
         engine.unsettled.wait(engine.keys.group(query.principal, {}), patience);
}

/// One place that holds the object.
struct Candidate {
  const Source* source = nullptr;
  kube::Representation representation;
  Id body;
  kube::ResourceVersion version = 0, as_of = 0;
  const CollectionState* collection = nullptr;  ///< null: from a GET
};

/// All that is known of one object.
struct Sight {
  std::vector<Candidate> candidates;
  kube::ResourceVersion newest = 0;        ///< version of the object as it was last seen
  kube::ResourceVersion absent_as_of = 0;  ///< newest complete list without it
  bool absent_in_list = false, broken = false;
  GetRecord::Absence absence = GetRecord::Absence::kNone;
  kube::ResourceVersion absent_since = 0;
  std::string status;
};

class ObjectReader {
 public:
  ObjectReader(const std::shared_ptr<Engine>& engine, const Id& group, const Query& query)
      : engine_{engine},
        group_{group},
        query_{query},
        object_{engine->keys.object(query.ns, query.name)} {}

  Sight look(const std::vector<Source>& all) {
    for (const auto& source : all) {
      look_at_record(source);
      if (query_.subresource.empty())
        for (const auto& state : source.group->collections) look_at(source, *state);
    }
    return std::move(sight_);
  }

  bool load(const Candidate& candidate, kube::Object& out) {
    const auto key = Keys::row(Row::kBody, candidate.body);
    std::string plain;
    const auto found = read(*candidate.source, key, plain);
    auto object = found && *found ? decode_body(std::move(plain)) : std::nullopt;
    if (!object) {
      report();
      return false;
    }
    out = std::move(*object);
    if (out.type.kind.empty() && candidate.collection != nullptr) {
      const auto& list = candidate.collection->meta.list.type;
      out.type = {list.api_version, list.kind.substr(0, list.kind.rfind("List"))};
    }
    return true;
  }

 private:
  Result<bool> read(const Source& source, const std::string& key, std::string& plain) {
    auto found = source.shelf->kv().get(key, sealed_, source.view->snapshot.get());
    if (!found || !*found) return found;
    if (auto opened = engine_->sealer.open(key, sealed_, plain); !opened) return opened.error();
    return true;
  }

  void report() { report_corrupt(engine_, query_); }

  void look_at_record(const Source& source) {
    const auto key = Keys::row(Row::kGet, group_, object_);
    if (!source.view->lost->empty() && source.view->lost->contains(key)) return;
    std::string plain;
    const auto found = read(source, key, plain);
    if (found && !*found) return;
    auto record = found ? decode_get(plain) : std::nullopt;
    if (!record) return report();
    source.group->loose->used_ms = unix_ms(engine_->clock);
    if (record->absence != GetRecord::Absence::kNone) {
      sight_.absence = record->absence;
      sight_.absent_since = record->absent_since;
      sight_.status = std::move(record->status);
    }
    for (const auto& shown : record->shown) {
      if (shown.subresource != "scale") sight_.newest = std::max(sight_.newest, shown.version);
      if (shown.subresource != query_.subresource) continue;
      sight_.candidates.push_back({.source = &source,
                                   .representation = shown.representation,
                                   .body = shown.body,
                                   .version = shown.version,
                                   .as_of = shown.version});
    }
  }

  void look_at(const Source& source, const CollectionState& state) {
    const auto& meta = state.meta;
    if (!meta.covers(query_.ns, query_.name)) return;
    if (!meta.whole()) {
      sight_.broken = true;
      // What it holds was seen, though: nothing older may be served instead.
    }
    std::string plain;
    const auto found = read(source, Keys::member(meta.id, meta.generation, object_), plain);
    const auto member = found && *found ? decode_member(plain) : std::nullopt;
    if ((found && !*found) || (member && member->gone != 0)) {
      if (meta.whole() && meta.all_of(query_.name) && meta.version >= sight_.absent_as_of) {
        sight_.absent_in_list = true;
        sight_.absent_as_of = meta.version;
        state.usage->used_ms = unix_ms(engine_->clock);
      }
      return;
    }
    if (!member) return report_corrupt(engine_, meta.query);
    sight_.newest = std::max(sight_.newest, member->version);
    if (meta.broken) return;
    sight_.candidates.push_back({.source = &source,
                                 .representation = meta.query.representation,
                                 .body = member->body,
                                 .version = member->version,
                                 .as_of = std::max(meta.version, member->version),
                                 .collection = &state});
  }

  const std::shared_ptr<Engine>& engine_;
  const Id group_;
  const Query& query_;
  const Id object_;
  Sight sight_;
  std::string sealed_;
};

/// True when the list as a whole follows from `meta`.
bool derivable(const CollectionMeta& meta, const Query& query) {
  return meta.unselected() && meta.query.representation == query.representation &&
         (meta.query.ns.empty() || meta.query.ns == query.ns) && query.subresource.empty();
}

bool selectors_known(const Query& query) {
  const auto labels = kube::LabelSelector::parse(query.label_selector);
  const auto fields = kube::FieldSelector::parse(query.field_selector);
  return labels && fields && (fields->empty() || fields->metadata_only());
}

}  // namespace

ObjectAnswer read_object(const std::shared_ptr<Engine>& engine, const Query& query,
                         const std::vector<kube::Representation>& accept,
                         kube::ResourceVersion at_least) {
  ObjectAnswer answer;
  const auto group = engine->group(query);
  if (!settled(*engine, group, query)) {
    answer.outcome = Outcome::kUnsettled;
    return answer;
  }
  const auto all = sources(*engine, group);
  if (all.empty()) return answer;
  ObjectReader reader{engine, group, query};
  auto sight = reader.look(all);

  auto& candidates = sight.candidates;
  std::erase_if(candidates, [&](const Candidate& c) {
    // Older than what was seen; or before the server said no; or a list that has lost it since.
    return c.version < sight.newest ||
           (sight.absence != GetRecord::Absence::kNone && c.as_of <= sight.absent_since) ||
           (sight.absent_in_list && sight.absent_as_of > c.as_of) || c.as_of < at_least ||
           (c.collection != nullptr && c.version < c.collection->meta.wanted &&
            !c.collection->meta.whole());
  });
  for (const auto& representation : accept) {
    for (const auto& candidate : candidates) {
      if (candidate.representation != representation) continue;
      if (!reader.load(candidate, answer.object)) continue;
      const bool derived = candidate.collection != nullptr;
      if (derived) candidate.collection->usage->used_ms = unix_ms(engine->clock);
      answer.outcome = derived ? Outcome::kDerived : Outcome::kHit;
      answer.encoding = representation.encoding;
      answer.as_of = candidate.as_of;
      return answer;
    }
  }
  const bool gone_since =
      sight.absent_in_list && sight.absent_as_of >= at_least && sight.absent_as_of > sight.newest;
  if (candidates.empty() && sight.absence == GetRecord::Absence::kNotFound &&
      sight.absent_since >= at_least) {
    answer.outcome = Outcome::kAbsent;
    answer.as_of = sight.absent_since;
    answer.not_found_body = std::move(sight.status);
  } else if (candidates.empty() && sight.absence != GetRecord::Absence::kWithheld && gone_since) {
    answer.outcome = Outcome::kAbsent;
    answer.as_of = sight.absent_as_of;
  } else if (sight.broken) {
    answer.outcome = Outcome::kBroken;
  }
  return answer;
}

ListAnswer read_list(const std::shared_ptr<Engine>& engine, const Query& query,
                     const std::vector<kube::Representation>& accept,
                     kube::ResourceVersion at_least) {
  ListAnswer answer;
  const auto group = engine->group(query);
  if (!settled(*engine, group, query)) {
    answer.outcome = Outcome::kUnsettled;
    return answer;
  }
  const auto all = sources(*engine, group);
  const bool can_select = selectors_known(query);
  for (const auto& representation : accept) {
    Query wanted = query;
    wanted.representation = representation;
    const auto id = engine->keys.collection(wanted);
    const Source* from = nullptr;
    const CollectionState* best = nullptr;
    kube::ResourceVersion seen = at_least;
    for (const auto& source : all) {
      const auto* exact = source.group->find(id);
      if (exact == nullptr) continue;
      // Shown at that version already: nothing older may stand in for it.
      seen = std::max({seen, exact->meta.version, exact->meta.wanted});
      if (!exact->meta.whole()) answer.outcome = Outcome::kBroken;
      if (exact->meta.whole() && exact->meta.version >= at_least) {
        best = exact;
        from = &source;
      }
    }
    for (const auto& source : all) {
      if (!can_select) break;
      for (const auto& state : source.group->collections) {
        if (state->meta.id == id || !derivable(state->meta, wanted)) continue;
        if (!state->meta.whole()) {
          if (best == nullptr) answer.outcome = Outcome::kBroken;
          continue;
        }
        const bool newer = best == nullptr ? state->meta.version >= seen
                                           : state->meta.version > best->meta.version;
        if (!newer) continue;
        best = state.get();
        from = &source;
      }
    }
    if (best == nullptr) continue;
    auto snapshot = make_snapshot(engine, *from->shelf, from->view, from->group, *best, wanted,
                                  Members::kThere);
    if (!snapshot) {
      report_corrupt(engine, best->meta.query);
      answer.outcome = Outcome::kBroken;
      continue;
    }
    best->usage->used_ms = unix_ms(engine->clock);
    answer.outcome = best->meta.id == id ? Outcome::kHit : Outcome::kDerived;
    answer.snapshot = std::move(*snapshot);
    return answer;
  }
  return answer;
}

std::unique_ptr<ListSnapshot> read_base(const std::shared_ptr<Engine>& engine, const Query& query,
                                        kube::ResourceVersion version) {
  const auto group = engine->group(query);
  if (!settled(*engine, group, query, std::chrono::milliseconds{0})) return nullptr;
  const auto id = engine->keys.collection(query);
  for (const auto& source : sources(*engine, group)) {
    const auto* list = source.group->find(id);
    if (list == nullptr || list->meta.broken || list->meta.version != version ||
        list->meta.removed > version) {
      continue;
    }
    auto snapshot = make_snapshot(engine, *source.shelf, source.view, source.group, *list, query,
                                  Members::kAll);
    if (snapshot) return std::move(*snapshot);
    report_corrupt(engine, query);
  }
  return nullptr;
}

}  // namespace holdfast::cache
