#include "cache/inspect.h"

#include <fmt/format.h>

#include <map>

namespace holdfast::cache {
namespace {

using std::chrono::milliseconds;
using TimePoint = std::chrono::system_clock::time_point;

std::string hex(const Id& id) {
  return fmt::format("{:02x}", fmt::join(id.bytes, ""));
}

TimePoint at(std::int64_t unix_ms) {
  return TimePoint{milliseconds{unix_ms}};
}

/// The resource that a group of documents belongs to.
kube::GroupVersionResource shown_as(kube::GroupVersionResource gvr) {
  constexpr std::string_view kDocuments = "/documents/";
  if (gvr.resource.starts_with(kDocuments)) gvr.resource.erase(0, kDocuments.size());
  return gvr;
}

class Counter {
 public:
  Counter(Engine& engine, Shelf& shelf, const View& view, std::size_t& rows)
      : engine_{engine}, shelf_{shelf}, view_{view}, rows_{rows} {}

  void count(const Id& group, UsageInfo& out) {
    each(Keys::row(Row::kGet, group), out, [&](std::string_view plain) {
      ++out.objects;
      const auto record = decode_get(plain);
      if (!record) return;
      for (const auto& shown : record->shown) out.bytes += body_size(shown.body);
    });
    each(Keys::row(Row::kDocument, group), out, [&](std::string_view) { ++out.documents; });
  }

 private:
  template <class F>
  void each(const std::string& prefix, UsageInfo& out, F visit) {
    std::string plain;
    for (auto row = shelf_.kv().scan(prefix, view_.snapshot.get()); row->valid(); row->next()) {
      if (rows_ == 0) {
        out.partial = true;
        return;
      }
      --rows_;
      const std::string key{row->key()};
      if (view_.lost->contains(key) || !engine_.sealer.open(key, row->value(), plain)) continue;
      out.bytes += key.size() + row->value().size();
      visit(plain);
    }
  }
  std::uint64_t body_size(const Id& body) {
    std::string text;
    const auto found =
        shelf_.kv().get(Keys::row(Row::kReferences, body), text, view_.snapshot.get());
    return found && *found ? decode_references(text).size : 0;
  }

  Engine& engine_;
  Shelf& shelf_;
  const View& view_;
  std::size_t& rows_;
};

}  // namespace

std::vector<CollectionInfo> list_collections(Engine& engine) {
  std::vector<CollectionInfo> out;
  for (auto* shelf : {engine.disk.get(), engine.memory.get()}) {
    const auto view = shelf->view();
    const auto residence =
        shelf == engine.disk.get() && engine.persistent ? Residence::kDisk : Residence::kMemory;
    view->index.each([&](const Id&, const std::shared_ptr<const GroupState>& group) {
      for (const auto& state : group->collections) {
        const auto& meta = state->meta;
        out.push_back({.id = hex(meta.id),
                       .query = meta.query,
                       .version = meta.version,
                       .items = meta.items(),
                       .bytes = meta.bytes,
                       .shown_at = at(meta.shown_ms),
                       .used_at = at(state->usage->used_ms),
                       .state = meta.broken    ? CollectionInfo::State::kBroken
                                : meta.whole() ? CollectionInfo::State::kServed
                                               : CollectionInfo::State::kHeld,
                       .residence = residence,
                       .node_component = meta.node_component});
      }
    });
  }
  return out;
}

std::vector<UsageInfo> count_usage(Engine& engine, std::size_t rows) {
  std::map<std::pair<identity::PrincipalId, kube::GroupVersionResource>, UsageInfo> all;
  for (auto* shelf : {engine.disk.get(), engine.memory.get()}) {
    const auto view = shelf->view();
    Counter counter{engine, *shelf, *view, rows};
    view->index.each([&](const Id& id, const std::shared_ptr<const GroupState>& group) {
      const auto gvr = shown_as(group->record.gvr);
      auto& usage = all[{group->record.principal, gvr}];
      usage.principal = group->record.principal;
      usage.gvr = gvr;
      usage.node_component = usage.node_component || group->record.node_component;
      usage.used_at = std::max(usage.used_at, at(group->loose->used_ms));
      for (const auto& state : group->collections) {
        ++usage.lists;
        usage.items += state->meta.items();
        usage.bytes += state->meta.bytes;
        usage.used_at = std::max(usage.used_at, at(state->usage->used_ms));
      }
      counter.count(id, usage);
    });
  }
  std::vector<UsageInfo> out;
  for (auto& [who, usage] : all) {
    const bool nothing = usage.lists == 0 && usage.objects == 0 && usage.documents == 0;
    if (!nothing || usage.partial) out.push_back(std::move(usage));
  }
  return out;
}

}  // namespace holdfast::cache
