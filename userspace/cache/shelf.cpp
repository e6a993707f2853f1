#include "cache/shelf.h"

#include <spdlog/spdlog.h>

#include <thread>

#include "cache/codec.h"

namespace holdfast::cache {
namespace {

const std::string kCheckKey = Keys::row(Row::kSetting, "check");
const std::string kEpochKey = Keys::row(Row::kSetting, "epoch");
const std::string kTotalsKey = Keys::row(Row::kSetting, "totals");
constexpr std::string_view kCheckText = "holdfast store 2";
constexpr std::size_t kMaxLostRows = 4096;

/// The parts of a row's key after its kind.
Id id_at(std::string_view key, std::size_t index) {
  Decoder in{key.substr(1 + index * sizeof(Id::bytes))};
  return in.id();
}

std::uint64_t big_endian_at(std::string_view key, std::size_t offset) {
  std::uint64_t out = 0;
  for (std::size_t i = offset; i < offset + 8 && i < key.size(); ++i)
    out = out << 8 | static_cast<unsigned char>(key[i]);
  return out;
}

/// The keys that a wipe removes: from, and up to.
std::vector<std::pair<std::string, std::string>> ranges(Shelf::Wipe what) {
  if (what == Shelf::Wipe::kAll) return {{"", std::string(64, '\xff')}};
  std::vector<std::pair<std::string, std::string>> out;
  for (const Row row : {Row::kBody, Row::kReferences, Row::kCollection, Row::kMember, Row::kPending,
                        Row::kGet, Row::kGroup, Row::kDocument})
    out.emplace_back(Keys::row(row), std::string(1, static_cast<char>(static_cast<char>(row) + 1)));
  return out;
}

}  // namespace

std::int64_t unix_ms(const Clock& clock) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(clock.wall().time_since_epoch())
      .count();
}

Shelf::Shelf(std::unique_ptr<Kv> kv, const Keys& keys, const Sealer& sealer, const Clock& clock,
             Counters& counters, std::uint64_t budget, std::unique_ptr<LossMark> loss_mark)
    : kv_{std::move(kv)},
      keys_{keys},
      sealer_{sealer},
      clock_{clock},
      counters_{counters},
      loss_mark_{std::move(loss_mark)},
      txn_{*kv_, sealer_},
      budget_{budget} {}

Result<std::unique_ptr<Shelf>> Shelf::open(std::unique_ptr<Kv> kv, const Keys& keys,
                                           const Sealer& sealer, const Clock& clock,
                                           Counters& counters, std::uint64_t budget,
                                           std::unique_ptr<LossMark> loss_mark) {
  std::unique_ptr<Shelf> shelf{
      new Shelf{std::move(kv), keys, sealer, clock, counters, budget, std::move(loss_mark)}};
  if (auto checked = shelf->check_key(); !checked) return checked.error();
  if (auto loaded = shelf->load(); !loaded) return loaded.error();
  return shelf;
}

Result<void> Shelf::check_key() {
  std::string text;
  auto found = txn_.get(kCheckKey, text);
  if (!found) return found.error();
  if (*found) {
    // A store in clear opens under no key and the other way round: the text says which it is.
    if (text != kCheckText) return make_error(Errc::kCorrupt, "sealed under another key");
    return {};
  }
  if (kv_->scan("", nullptr)->valid())
    return make_error(Errc::kCorrupt, "rows of an unknown format");
  txn_.put(kCheckKey, kCheckText);
  return {};
}

Result<void> Shelf::load() {
  std::string text;
  if (auto found = txn_.get_clear(kEpochKey, text); found && *found) epoch_ = Decoder{text}.u64();
  ++epoch_;
  txn_.put_clear(kEpochKey, Encoder{}.u64(epoch_).take());
  if (auto found = txn_.get_clear(kTotalsKey, text); found && *found) {
    Decoder in{text};
    totals_.live = static_cast<std::int64_t>(in.u64());
    totals_.bodies = static_cast<std::int64_t>(in.u64());
  }
  committed_ = totals_;

  const bool lost = loss_mark_ && loss_mark_->is_set();
  std::map<Id, GroupState> groups;
  auto read = txn_.each(Keys::row(Row::kGroup),
                        [&](const std::string& key, std::string_view plain, bool ok) {
                          auto record = ok ? decode_group(plain) : std::nullopt;
                          if (!record) {
                            ++counters_.corrupt;
                            txn_.erase(key);
                            return true;
                          }
                          auto& group = groups[id_at(key, 0)];
                          group.loose->used_ms = record->used_ms;
                          group.record = std::move(*record);
                          return true;
                        });
  if (!read) return read.error();
  read = txn_.each(Keys::row(Row::kCollection),
                   [&](const std::string& key, std::string_view plain, bool ok) {
                     auto meta = ok ? decode_collection(plain) : std::nullopt;
                     const auto group = groups.find(id_at(key, 0));
                     if (!meta || group == groups.end()) {
                       ++counters_.corrupt;
                       txn_.erase(key);
                       // Its generation is not known: all of its members go.
                       staged_garbage_.emplace_back(id_at(key, 1), 0);
                       return true;
                     }
                     auto state = std::make_shared<CollectionState>();
                     state->usage->used_ms = meta->used_ms;
                     state->meta = std::move(*meta);
                     group->second.collections.push_back(std::move(state));
                     return true;
                   });
  if (!read) return read.error();
  read = txn_.each(Keys::row(Row::kPending), [&](const std::string& key, std::string_view, bool) {
    staged_garbage_.emplace_back(id_at(key, 0), big_endian_at(key, 1 + sizeof(Id::bytes)));
    return true;
  });
  if (!read) return read.error();
  for (auto& [id, group] : groups) {
    shown_collections_ += group.collections.size();
    index_.set(id, std::make_shared<const GroupState>(std::move(group)));
  }
  if (lost) {
    spdlog::warn("cache: writes were lost before the last stop; lists are relearned");
    for (const auto& [id, group] : groups) {
      const auto state = index_.find(id);
      for (const auto& collection : state->collections) break_collection(id, collection->meta.id);
      drop_loose(id);
    }
  }
  if (!commit(false)) return make_error(Errc::kUnavailable, "the store can't be written");
  if (lost) loss_mark_->clear();
  return {};
}

std::shared_ptr<const View> Shelf::view() const {
  const std::lock_guard lock{view_mutex_};
  return view_;
}

void Shelf::publish_view() {
  auto view = std::make_shared<View>();
  view->snapshot = kv_->snapshot();
  view->index = index_;
  view->lost = lost_rows_;
  std::shared_ptr<const View> published = std::move(view);
  {
    const std::lock_guard lock{view_mutex_};
    view_.swap(published);
  }
  shown_live_ = static_cast<std::uint64_t>(std::max<std::int64_t>(0, totals_.live));
  shown_bodies_ = static_cast<std::uint64_t>(std::max<std::int64_t>(0, totals_.bodies));
}

const GroupState* Shelf::find_group(const Id& group) const {
  if (const auto it = staged_.find(group); it != staged_.end()) return it->second.state.get();
  return index_.find(group).get();
}

Shelf::Staged& Shelf::stage(const Id& group) {
  auto [it, fresh] = staged_.try_emplace(group);
  if (fresh) {
    const auto current = index_.find(group);
    it->second.state =
        current ? std::make_shared<GroupState>(*current) : std::make_shared<GroupState>();
  } else if (!it->second.state) {
    it->second.state = std::make_shared<GroupState>();
  }
  return it->second;
}

GroupState& Shelf::edit_group(const Id& id, const identity::PrincipalId& principal,
                              const kube::GroupVersionResource& gvr, bool node_component) {
  const bool known = find_group(id) != nullptr;
  auto& staged = stage(id);
  if (!known) {
    staged.state->record.principal = principal;
    staged.state->record.gvr = gvr;
    staged.state->loose->used_ms = unix_ms(clock_);
    staged.record_changed = true;
  }
  if (node_component && !staged.state->record.node_component) {
    staged.state->record.node_component = true;
    staged.record_changed = true;
  }
  return *staged.state;
}

const CollectionState* Shelf::find_collection(const Id& group, const Id& id) const {
  const auto* state = find_group(group);
  return state == nullptr ? nullptr : state->find(id);
}

CollectionMeta& Shelf::edit_collection(const Id& group, const Id& id) {
  auto& staged = stage(group);
  for (auto& state : staged.state->collections) {
    if (state->meta.id != id) continue;
    if (staged.collections.insert(id).second) state = std::make_shared<CollectionState>(*state);
    // Not published yet: this thread alone knows the copy.
    return std::const_pointer_cast<CollectionState>(state)->meta;
  }
  throw std::logic_error("edit of a collection that is not there");
}

void Shelf::raise_floor(GroupState& group, kube::ResourceVersion version) {
  if (version > group.record.floor) set_floor(group, version);
}

void Shelf::set_floor(GroupState& group, kube::ResourceVersion version) {
  if (version == group.record.floor) return;
  group.record.floor = version;
  for (auto& [id, staged] : staged_)
    if (staged.state.get() == &group) staged.record_changed = true;
}

void Shelf::write_index_rows() {
  for (auto& [group, staged] : staged_) {
    if (!staged.state) {
      txn_.erase(Keys::row(Row::kGroup, group));
    } else if (staged.record_changed) {
      staged.state->record.used_ms = staged.state->loose->used_ms;
      txn_.put(Keys::row(Row::kGroup, group), encode(staged.state->record));
    }
    for (const auto& id : staged.collections) {
      const auto key = Keys::row(Row::kCollection, group, id);
      const auto* state = staged.state ? staged.state->find(id) : nullptr;
      if (state == nullptr) {
        txn_.erase(key);
      } else {
        txn_.put(key, encode(state->meta));
      }
    }
  }
  txn_.put_clear(kTotalsKey, Encoder{}
                                 .u64(static_cast<std::uint64_t>(totals_.live))
                                 .u64(static_cast<std::uint64_t>(totals_.bodies))
                                 .take());
}

bool Shelf::commit(bool sync) {
  if (!dirty()) return true;
  if (failing_) retry_losses();
  write_index_rows();
  if (auto written = write_rows(sync); !written) {
    ++counters_.write_errors;
    if (!failing_)
      spdlog::error("cache: writing failed, going on without: {}", written.error().to_string());
    failing_ = true;
    note_loss();
    return false;
  }
  if (failing_ && lost_collections_.empty() && lost_rows_->empty()) {
    spdlog::info("cache: writing works again");
    failing_ = false;
  }
  const bool drop_lost = lost_rows_->all && lost_collections_.empty() && !dropping_;
  for (auto& [group, staged] : staged_) {
    const auto before = index_.find(group);
    const auto count = [](const GroupState* g) { return g == nullptr ? 0 : g->collections.size(); };
    shown_collections_ += count(staged.state.get()) - count(before.get());
    index_.set(group, std::move(staged.state));
  }
  staged_.clear();
  garbage_.insert(garbage_.end(), staged_garbage_.begin(), staged_garbage_.end());
  staged_garbage_.clear();
  committed_ = totals_;
  publish_view();
  if (drop_lost) {
    dropping_ = true;
    drop_lost_rows();
    dropping_ = false;
  }
  return true;
}

/// Files that are outdated go in the background, which may be late: rather wait than exceed the
/// budget, and rather lose a write than wait for long.
Result<void> Shelf::write_rows(bool sync) {
  constexpr std::chrono::milliseconds kStep{2}, kLimit{500};
  auto waited = std::chrono::milliseconds{0};
  while (!kv_->has_room(txn_.bytes())) {
    if (failing_ || waited >= kLimit)
      return make_error(Errc::kUnavailable, "the files take all of cache.budget");
    std::this_thread::sleep_for(kStep);
    waited += kStep;
  }
  return txn_.commit(sync);
}

/// What the failed batch would have changed is not to be trusted any more: lists are broken, GETs
/// do not count. Here at once, on disk as soon as it takes a write; until then the mark says it.
void Shelf::note_loss() {
  ++losses_;
  if (loss_mark_) loss_mark_->set();
  if (!lost_rows_->all) {
    auto lost = std::make_shared<LostRows>(*lost_rows_);
    for (const Row kind : {Row::kGet, Row::kDocument})
      for (auto& key : txn_.changed(Keys::row(kind))) lost->rows.insert(std::move(key));
    if (lost->rows.size() > kMaxLostRows) {
      lost->all = true;
      lost->rows.clear();
    }
    lost_rows_ = std::move(lost);
  }
  for (const auto& [group, staged] : staged_) {
    const auto current = index_.find(group);
    if (!current) continue;
    auto copy = std::make_shared<GroupState>(*current);
    for (auto& state : copy->collections) {
      if (!staged.collections.contains(state->meta.id)) continue;
      auto broken = std::make_shared<CollectionState>(*state);
      broken->meta.broken = true;
      state = std::move(broken);
      lost_collections_.emplace(group, state->meta.id);
    }
    if (staged.state) copy->record.floor = std::max(copy->record.floor, staged.state->record.floor);
    index_.set(group, std::move(copy));
  }
  txn_.clear();
  staged_.clear();
  staged_garbage_.clear();
  totals_ = committed_;
  publish_view();
}

void Shelf::retry_losses() {
  if (auto resumed = kv_->resume(); !resumed) return;
  Txn repair{*kv_, sealer_};
  for (const auto& [group, id] : lost_collections_) {
    const auto state = index_.find(group);
    const auto* collection = state ? state->find(id) : nullptr;
    if (collection != nullptr)
      repair.put(Keys::row(Row::kCollection, group, id), encode(collection->meta));
  }
  // Bodies that these rows held stay until the store is wiped: they are few, and their counts are
  // not known to be right.
  for (const auto& key : lost_rows_->rows) repair.erase(key);
  if (!kv_->has_room(repair.bytes()) || !repair.commit(true)) return;
  lost_collections_.clear();
  if (lost_rows_->all) return;  // see commit
  lost_rows_ = std::make_shared<const LostRows>();
  if (loss_mark_ && !wipe_owed_) loss_mark_->clear();
}

/// Too many were lost to know which: none of them counts.
void Shelf::drop_lost_rows() {
  std::vector<Id> groups;
  index_.each([&](const Id& id, const auto&) { groups.push_back(id); });
  for (const auto& id : groups) {
    drop_loose(id);
    if (!commit(false)) return;
  }
  lost_rows_ = std::make_shared<const LostRows>();
  if (loss_mark_ && !wipe_owed_) loss_mark_->clear();
  publish_view();
}

bool Shelf::wipe(Wipe what) {
  txn_.clear();
  staged_.clear();
  garbage_.clear();
  staged_garbage_.clear();
  lost_collections_.clear();
  lost_rows_ = std::make_shared<const LostRows>();
  index_ = Index{};
  totals_ = committed_ = Totals{};
  ++losses_;
  shown_collections_ = 0;
  for (const auto& [from, to] : ranges(what)) {
    if (kv_->erase_range(from, to)) continue;
    ++counters_.write_errors;
    wipe_owed_ = true;
    if (loss_mark_) loss_mark_->set();
    publish_view();
    return false;
  }
  wipe_owed_ = false;
  if (loss_mark_) loss_mark_->clear();
  txn_.put(kCheckKey, kCheckText);
  txn_.put_clear(kEpochKey, Encoder{}.u64(epoch_).take());
  return commit(true);
}

}  // namespace holdfast::cache
