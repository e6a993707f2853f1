#include <algorithm>

#include "cache/engine.h"
#include "holdfast/kube/selector.h"

namespace holdfast::cache {
namespace {

/// What a list's order and size need of each item; the rest is read when it is asked for.
struct Place {
  std::string key;  ///< as the API server sorts: namespace/name
  Id body;
};

class StoredList final : public ListSnapshot {
 public:
  StoredList(std::shared_ptr<Engine> engine, Shelf& shelf, std::shared_ptr<const View> view,
             std::shared_ptr<const GroupState> group, const CollectionState& collection,
             bool derived, Members members)
      : engine_{std::move(engine)},
        shelf_{shelf},
        view_{std::move(view)},
        group_{std::move(group)},
        collection_{collection},
        derived_{derived},
        members_{members} {}

  /// Reads the places that `query` leaves. kCorrupt.
  Result<void> load(const Query& query) {
    const auto labels = kube::LabelSelector::parse(query.label_selector);
    const auto fields = kube::FieldSelector::parse(query.field_selector);
    const auto& own = collection_.meta;
    const auto wanted = [&](const Member& member) {
      if (members_ == Members::kThere && member.gone != 0) return false;
      if (!derived_) return true;
      return (query.ns.empty() || query.ns == member.ns) &&
             (query.name.empty() || query.name == member.name) && labels->matches(member.labels) &&
             fields->matches_metadata(member.name, member.ns);
    };
    places_.reserve(own.members);
    auto cursor = shelf_.kv().scan(Keys::members(own.id, own.generation), view_->snapshot.get());
    std::string plain;
    std::uint64_t rows = 0;
    for (; cursor->valid(); cursor->next(), ++rows) {
      if (auto opened = engine_->sealer.open(cursor->key(), cursor->value(), plain); !opened)
        return opened.error();
      const auto member = decode_member(plain);
      if (!member) return make_error(Errc::kCorrupt, "a list's member can't be read");
      if (!wanted(*member)) continue;
      items_bytes_ += kube::ListRenderer::item_size(encoding(), member->size);
      places_.push_back(
          {member->ns.empty() ? member->name : member->ns + '/' + member->name, member->body});
    }
    if (auto status = cursor->status(); !status) return status.error();
    if (rows != own.members) return make_error(Errc::kCorrupt, "a list lacks members");
    std::sort(places_.begin(), places_.end(),
              [](const Place& a, const Place& b) { return a.key < b.key; });
    return {};
  }

  [[nodiscard]] const kube::ListMeta& meta() const override { return collection_.meta.list; }
  [[nodiscard]] kube::ResourceVersion resource_version() const override {
    return collection_.meta.version;
  }
  [[nodiscard]] std::size_t size() const override { return places_.size(); }
  [[nodiscard]] std::size_t items_bytes() const override { return items_bytes_; }
  [[nodiscard]] bool derived() const override { return derived_; }
  [[nodiscard]] const kube::Representation& representation() const override {
    return collection_.meta.query.representation;
  }
  [[nodiscard]] std::chrono::system_clock::time_point shown_at() const override {
    return std::chrono::system_clock::time_point{
        std::chrono::milliseconds{collection_.meta.shown_ms}};
  }
  [[nodiscard]] kube::TypeMeta object_type() const override {
    const auto& list = collection_.meta.list.type;
    const auto end = list.kind.ends_with("List") ? list.kind.size() - 4 : list.kind.size();
    return {list.api_version, list.kind.substr(0, end)};
  }

  Result<bool> next(kube::Object& out) override {
    if (failed_) return make_error(Errc::kCorrupt, "a list's object can't be read");
    if (at_ == places_.size()) return false;
    if (at_ == fetched_end_) fetch();
    const auto i = at_ - fetched_begin_;
    auto object = take(i);
    if (!object) {
      failed_ = true;
      report_corrupt(engine_, collection_.meta.query);
      return make_error(Errc::kCorrupt, "a list's object can't be read");
    }
    ++at_;
    out = std::move(*object);
    // A typed list's items carry no type, whichever way an item got here.
    if (!collection_.meta.typed_items) out.type = {};
    return true;
  }

 private:
  static constexpr std::size_t kAhead = 64;

  void fetch() {
    fetched_begin_ = at_;
    fetched_end_ = std::min(at_ + kAhead, places_.size());
    keys_.clear();
    for (auto i = fetched_begin_; i < fetched_end_; ++i)
      keys_.push_back(Keys::row(Row::kBody, places_[i].body));
    found_ = shelf_.kv().multi_get(keys_, sealed_, view_->snapshot.get());
  }

  std::optional<kube::Object> take(std::size_t i) {
    if (!found_[i] || !*found_[i]) return std::nullopt;
    std::string plain;
    if (!engine_->sealer.open(keys_[i], sealed_[i], plain)) return std::nullopt;
    return decode_body(std::move(plain));
  }

  std::shared_ptr<Engine> engine_;
  Shelf& shelf_;
  std::shared_ptr<const View> view_;
  std::shared_ptr<const GroupState> group_;
  const CollectionState& collection_;  // lives as long as group_
  const bool derived_;
  const Members members_;
  bool failed_ = false;
  std::vector<Place> places_;
  std::size_t items_bytes_ = 0, at_ = 0, fetched_begin_ = 0, fetched_end_ = 0;
  std::vector<std::string> keys_, sealed_;
  std::vector<Result<bool>> found_;
};

}  // namespace

Result<std::unique_ptr<ListSnapshot>> make_snapshot(std::shared_ptr<Engine> engine, Shelf& shelf,
                                                    std::shared_ptr<const View> view,
                                                    std::shared_ptr<const GroupState> group,
                                                    const CollectionState& collection,
                                                    const Query& query, Members members) {
  const bool derived = collection.meta.query != query;
  auto list = std::make_unique<StoredList>(std::move(engine), shelf, std::move(view),
                                           std::move(group), collection, derived, members);
  if (auto loaded = list->load(query); !loaded) return loaded.error();
  return std::unique_ptr<ListSnapshot>{std::move(list)};
}

}  // namespace holdfast::cache
