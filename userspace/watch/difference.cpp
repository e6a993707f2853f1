#include "watch/difference.h"

#include <algorithm>
#include <utility>

namespace holdfast::watch {

Difference::Difference(std::unique_ptr<cache::ListSnapshot> bodies)
    : bodies_{std::move(bodies)}, type_{bodies_->object_type()} {}

Result<std::unique_ptr<Difference>> Difference::create(
    std::unique_ptr<cache::ListSnapshot> base, std::unique_ptr<cache::ListSnapshot> bodies) {
  std::unique_ptr<Difference> made{new Difference{std::move(bodies)}};
  const auto position = base->resource_version();
  kube::Object object;
  while (true) {
    const auto more = base->next(object);
    if (!more) return more.error();
    if (!*more) return made;
    // One that is newer was seen by other means: what this watch told of it is older.
    const auto version = object.meta.resource_version;
    made->known_[{object.meta.ns, object.meta.name}] = {
        .uid = object.meta.uid, .version = version <= position ? version : 0};
  }
}

void Difference::add(kube::Object object) {
  const auto it = known_.find({object.meta.ns, object.meta.name});
  if (it == known_.end()) {
    changed_.emplace_back(kube::EventType::kAdded, std::move(object));
    return;
  }
  auto& known = it->second;
  known.seen = true;
  known.replaced = known.uid != object.meta.uid;
  if (known.replaced) {
    changed_.emplace_back(kube::EventType::kAdded, std::move(object));
  } else if (known.version != object.meta.resource_version) {
    changed_.emplace_back(kube::EventType::kModified, std::move(object));
  }
}

void Difference::tell(std::vector<kube::WatchEvent>& out, kube::EventType type,
                      kube::Object object) const {
  kube::WatchEvent event{.type = type, .object = std::move(object), .frame = {}};
  if (event.object.type.kind.empty()) event.object.type = type_;
  event.frame = Slice::own(
      kube::render_event(bodies_->encoding(), type, event.object.type, event.object.body.view()));
  out.push_back(std::move(event));
}

Result<void> Difference::tell_deletions(std::vector<kube::WatchEvent>& out) {
  const auto gone = [](const auto& item) { return !item.second.seen || item.second.replaced; };
  if (std::ranges::none_of(known_, gone)) return {};
  const auto version = bodies_->resource_version();
  while (true) {
    kube::Object object;
    const auto more = bodies_->next(object);
    if (!more) return more.error();
    if (!*more) return {};
    const auto it = known_.find({object.meta.ns, object.meta.name});
    if (it == known_.end() || !gone(*it)) continue;
    auto body = kube::restamp(bodies_->encoding(), object.body.view(), version);
    if (!body) return body.error();
    object.body = std::move(*body);
    object.meta.resource_version = version;
    tell(out, kube::EventType::kDeleted, std::move(object));
  }
}

Result<std::vector<kube::WatchEvent>> Difference::finish() {
  std::vector<kube::WatchEvent> out;
  if (auto told = tell_deletions(out); !told) return told.error();
  std::ranges::stable_sort(changed_, {},
                           [](const auto& item) { return item.second.meta.resource_version; });
  for (auto& [type, object] : changed_) tell(out, type, std::move(object));
  changed_.clear();
  return out;
}

}  // namespace holdfast::watch
