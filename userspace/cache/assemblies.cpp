#include <algorithm>

#include "cache/archive.h"
#include "cache/codec.h"

namespace holdfast::cache {
namespace {

Id page_key(const Keys& keys, const Id& collection, const std::string& token) {
  return keys.hash(Encoder{}.u8('p').id(collection).str(token).take());
}

}  // namespace

std::shared_ptr<Assembly> Archive::begin(const Query& query, const RecordOptions& options) {
  auto out = std::make_shared<Assembly>();
  auto& meta = out->draft;
  meta.group = keys_.group(query.principal, query.gvr);
  meta.id = keys_.collection(query);
  meta.query = query;
  meta.node_component = options.node_component;
  meta.shown_ms = unix_ms(clock_);
  out->shelf = &shelf(options.residence);
  meta.generation = out->shelf->new_generation();
  out->losses = out->shelf->losses();
  out->touched = clock_.now();
  out->shelf->mark_pending(meta.id, meta.generation);
  std::erase_if(open_, [](const auto& weak) { return weak.expired(); });
  open_.push_back(out);
  return out;
}

std::shared_ptr<Assembly> Archive::resume(const Query& query, const std::string& token) {
  const auto it = waiting_.find(page_key(keys_, keys_.collection(query), token));
  if (it == waiting_.end()) return nullptr;
  it->second->touched = clock_.now();
  return it->second;
}

bool Archive::alive(Assembly& assembly) {
  if (!assembly.open) return false;
  if (assembly.losses != assembly.shelf->losses() ||
      assembly.draft.bytes > assembly.shelf->budget() / 4 * 3) {
    abandon(assembly);
    return false;
  }
  return true;
}

bool Archive::add(Assembly& assembly, const kube::Object& object) {
  if (!alive(assembly)) return false;
  if (!object.type.kind.empty()) assembly.draft.typed_items = true;
  assembly.newest = std::max(assembly.newest, object.meta.resource_version);
  assembly.shelf->put_member(assembly.draft, object);
  return true;
}

bool Archive::remove(Assembly& assembly, const kube::Object& object) {
  if (!alive(assembly)) return false;
  const auto id = keys_.object(object.meta.ns, object.meta.name);
  const auto member = assembly.shelf->member(assembly.draft, id);
  if (member) assembly.shelf->remove_member(assembly.draft, id, *member);
  return true;
}

bool Archive::page(const std::shared_ptr<Assembly>& assembly, const std::string& token,
                   const kube::ListMeta& meta) {
  if (!alive(*assembly)) return false;
  auto& draft = assembly->draft;
  if (!assembly->any_page) {
    draft.list = meta;
    draft.list.continue_token.clear();
    assembly->any_page = true;
  } else if (draft.list.resource_version != meta.resource_version) {
    // An "inconsistent continuation": its pages are not one moment's list.
    abandon(*assembly);
  }
  if (!token.empty()) waiting_.erase(page_key(keys_, draft.id, token));
  if (!assembly->open) return false;
  if (!meta.continue_token.empty()) {
    assembly->touched = clock_.now();
    auto& place = waiting_[page_key(keys_, draft.id, meta.continue_token)];
    if (place && place != assembly) abandon(*place);
    place = assembly;
    expire(false);
    return assembly->open;
  }
  kube::ResourceVersion version = 0;
  if (!kube::parse_resource_version(draft.list.resource_version, version)) version = 0;
  return close(*assembly, version);
}

bool Archive::close(Assembly& assembly, kube::ResourceVersion version) {
  if (!alive(assembly)) return false;
  auto& fresh = assembly.draft;
  auto& shelf = *assembly.shelf;
  fresh.version = version;
  fresh.list.resource_version = version == 0 ? std::string{} : std::to_string(version);
  for (auto* each : shelves()) {
    const auto* old = each->find_collection(fresh.group, fresh.id);
    if (old == nullptr) continue;
    if (old->meta.version > version && !old->meta.broken) {
      // A list from the server's past (resourceVersion=0): what is there is newer.
      abandon(assembly);
      return true;
    }
    fresh.wanted = std::max({fresh.wanted, old->meta.wanted,
                             old->meta.broken ? old->meta.version : kube::ResourceVersion{0}});
    fresh.used_ms = old->usage->used_ms;
    // Fewer or more than before: something came or went since.
    if (old->meta.items() != fresh.items()) assembly.newest = version;
    if (each != &shelf) each->drop_collection(fresh.group, fresh.id);
  }
  // Versions that the server does not give can't be waited for.
  if (fresh.wanted <= version || version == 0) fresh.wanted = 0;
  assembly.open = false;
  outdate_documents(fresh.query, assembly.newest);
  const auto floor = this->floor(fresh.group);
  if (version != 0) reconcile(shelf, fresh, floor);
  auto& group =
      shelf.edit_group(fresh.group, fresh.query.principal, fresh.query.gvr, fresh.node_component);
  shelf.raise_floor(group, version);
  shelf.publish(fresh);
  return true;
}

bool Archive::share(const Query& from, const Query& to, kube::ResourceVersion at_least,
                    const RecordOptions& options) {
  auto& home = shelf(options.residence);
  const auto* source =
      home.find_collection(keys_.group(from.principal, from.gvr), keys_.collection(from));
  const auto current = [at_least](const CollectionMeta& meta) {
    return meta.whole() && meta.version >= at_least && meta.version != 0;
  };
  if (source == nullptr || !current(source->meta)) return false;
  const auto meta = source->meta;
  for (auto* each : shelves()) {
    const auto* own =
        each->find_collection(keys_.group(to.principal, to.gvr), keys_.collection(to));
    if (own != nullptr && current(own->meta) && own->meta.version >= meta.version) return true;
  }
  const auto assembly = begin(to, options);
  assembly->draft.list = meta.list;
  assembly->draft.typed_items = meta.typed_items;
  assembly->draft.removed = meta.removed;
  bool whole = true;
  const auto read = home.txn().each(Keys::members(meta.id, meta.generation),
                                    [&](const std::string&, std::string_view plain, bool ok) {
                                      const auto member = ok ? decode_member(plain) : std::nullopt;
                                      whole = member && alive(*assembly);
                                      if (!whole) return false;
                                      if (member->gone != 0) return true;
                                      assembly->newest =
                                          std::max(assembly->newest, member->version);
                                      home.share_member(assembly->draft, *member);
                                      return true;
                                    });
  if (!read || !whole || assembly->draft.members != meta.items()) {
    abandon(*assembly);
    return false;
  }
  return close(*assembly, meta.version);
}

void Archive::abandon(Assembly& assembly) {
  if (!assembly.open) return;
  assembly.open = false;
  assembly.shelf->discard(assembly.draft.id, assembly.draft.generation);
}

void Archive::abandon_all(const identity::PrincipalId& principal,
                          const kube::GroupVersionResource& gvr) {
  for (const auto& weak : open_) {
    const auto assembly = weak.lock();
    if (!assembly || assembly->draft.query.principal != principal) continue;
    if (gvr.resource.empty() || assembly->draft.query.gvr == gvr) abandon(*assembly);
  }
}

void Archive::expire(bool everything) {
  const auto now = clock_.now();
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const bool old = now - it->second->touched > kAssemblyAge;
    if (everything || old || !it->second->open) {
      abandon(*it->second);
      it = waiting_.erase(it);
    } else {
      ++it;
    }
  }
  while (waiting_.size() > kMaxAssemblies) {
    const auto oldest = std::min_element(
        waiting_.begin(), waiting_.end(),
        [](const auto& a, const auto& b) { return a.second->touched < b.second->touched; });
    abandon(*oldest->second);
    waiting_.erase(oldest);
  }
  if (!everything) return;
  for (const auto& weak : open_)
    if (const auto assembly = weak.lock()) abandon(*assembly);
}

}  // namespace holdfast::cache
