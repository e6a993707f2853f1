#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "cache/index.h"
#include "cache/keys.h"
#include "cache/kv.h"
#include "cache/loss_mark.h"
#include "cache/records.h"
#include "cache/sealer.h"
#include "cache/txn.h"
#include "holdfast/base/clock.h"

namespace holdfast::cache {

/// What people see of a store, counted from any thread.
struct Counters {
  std::atomic<std::uint64_t> evictions{0}, dropped{0}, corrupt{0}, write_errors{0};
};

std::int64_t unix_ms(const Clock& clock);

/// The rows of one residence (disk or memory), their index and their budget. Everything but `view`
/// and `live_bytes` belongs to the writer thread.
class Shelf {
 public:
  /// Loads the index and removes what an earlier process left unfinished. kCorrupt when the rows
  /// were sealed under another key. `loss_mark` may be null (memory).
  static Result<std::unique_ptr<Shelf>> open(std::unique_ptr<Kv> kv, const Keys& keys,
                                             const Sealer& sealer, const Clock& clock,
                                             Counters& counters, std::uint64_t budget,
                                             std::unique_ptr<LossMark> loss_mark);

  // Readers.
  [[nodiscard]] std::shared_ptr<const View> view() const;
  [[nodiscard]] Kv& kv() { return *kv_; }
  [[nodiscard]] std::uint64_t live_bytes() const { return shown_live_; }
  [[nodiscard]] std::uint64_t bodies() const { return shown_bodies_; }
  [[nodiscard]] std::uint64_t collections() const { return shown_collections_; }

  // Index, with the changes that are not committed yet.
  [[nodiscard]] const GroupState* find_group(const Id& group) const;
  GroupState& edit_group(const Id& id, const identity::PrincipalId& principal,
                         const kube::GroupVersionResource& gvr, bool node_component);
  [[nodiscard]] const CollectionState* find_collection(const Id& group, const Id& id) const;
  CollectionMeta& edit_collection(const Id& group, const Id& id);
  void raise_floor(GroupState& group, kube::ResourceVersion version);
  void set_floor(GroupState& group, kube::ResourceVersion version);
  [[nodiscard]] const Index& index() const { return index_; }

  // Bodies (bodies.cpp).
  Id body_id(const kube::Representation& representation, const kube::GroupVersionResource& gvr,
             const kube::Object& object) const;
  void hold_body(const Id& id, const kube::Object& object);
  /// Another use of a body that is there.
  void hold_body(const Id& id);
  void release_body(const Id& id);

  // Members and collections (collections.cpp).
  [[nodiscard]] std::uint64_t new_generation() { return (epoch_ << 32) | ++generation_; }
  std::optional<Member> member(const CollectionMeta& meta, const Id& object);
  /// Puts the object unless a newer version is there.
  void put_member(CollectionMeta& meta, const kube::Object& object);
  /// Puts a body that is already stored.
  void share_member(CollectionMeta& meta, const Member& member);
  void remove_member(CollectionMeta& meta, const Id& object, const Member& member);
  /// It was seen gone as of `version` by other means than the list's own watch (Member::gone).
  void hide_member(CollectionMeta& meta, const Id& object, const Member& member,
                   kube::ResourceVersion version);
  /// Whatever is still a member was there as of `version`, by its own list.
  void unhide_members(CollectionMeta& meta, kube::ResourceVersion version);
  void mark_pending(const Id& collection, std::uint64_t generation);
  /// Makes a pending generation the collection's own. The group's least recently used collection
  /// makes room for it where there are too many.
  void publish(CollectionMeta meta);
  void drop_collection(const Id& group, const Id& id);
  void break_collection(const Id& group, const Id& id);
  /// It is not served until its own list or watch is as new as `version`.
  void hold_collection(const Id& group, const Id& id, kube::ResourceVersion version);
  /// Everything of a group, its floor included.
  void drop_group(const Id& group);
  /// The members of that generation go when there is time.
  void discard(const Id& collection, std::uint64_t generation);
  /// Removes up to `limit` discarded members; false when nothing is left to do.
  bool sweep(std::size_t limit);

  // Loose rows: GETs and documents (collections.cpp).
  std::optional<GetRecord> get_record(const Id& group, const Id& object);
  void put_get_record(const Id& group, const Id& object, const GetRecord& record);
  void put_document(const Id& group, const Id& key, const DocumentRecord& record);
  void drop_document(const Id& group, const Id& key);
  /// All GETs and documents of a group. Commits now and then where they are many.
  void drop_loose(const Id& group);

  // Budget (budget.cpp).
  /// Of rows.
  void set_budget(std::uint64_t bytes) { budget_ = bytes; }
  [[nodiscard]] std::uint64_t budget() const { return budget_; }
  /// What is in memory of what is on disk. The least recently used go beyond that, however little
  /// they take: a client can invent any number of selectors.
  static constexpr std::size_t kMaxGroups = 8192, kMaxCollections = 8192;
  /// Of one group. A kubelet has a list of its own for each ConfigMap and Secret of its pods.
  static constexpr std::size_t kMaxOfGroup = 128, kMaxOfNodeComponent = 2048;
  /// Makes room by dropping what was used least recently. False: what is being written does not fit
  /// whatever goes.
  bool make_room();
  /// Keeps when things were used.
  void save_usage();

  Txn& txn() { return txn_; }
  /// A number that changes whenever changes were lost.
  [[nodiscard]] std::uint64_t losses() const { return losses_; }
  [[nodiscard]] bool dirty() const { return !txn_.empty() || !staged_.empty(); }
  bool commit(bool sync);
  enum class Wipe : std::uint8_t {
    kShown,  ///< credentials, named values and settings stay
    kAll,
  };
  /// False: the disk does not take it. Nothing of it is served; after a restart lists are broken.
  bool wipe(Wipe what);

 private:
  struct Staged {
    std::shared_ptr<GroupState> state;  ///< null: the group goes
    bool record_changed = false;
    std::set<Id> collections;  ///< changed or removed
  };
  struct Totals {
    std::int64_t live = 0, bodies = 0;
  };
  struct Unit {
    Id group;
    std::optional<Id> collection;  ///< none: the loose rows
    bool node_component = false;
    std::int64_t used_ms = 0;
  };

  Shelf(std::unique_ptr<Kv> kv, const Keys& keys, const Sealer& sealer, const Clock& clock,
        Counters& counters, std::uint64_t budget, std::unique_ptr<LossMark> loss_mark);
  Result<void> load();
  Result<void> check_key();
  Staged& stage(const Id& group);
  void write_index_rows();
  void retry_losses();
  Result<void> write_rows(bool sync);
  void drop_lost_rows();
  void add_member(CollectionMeta& meta, const Id& object, const Member& member);
  void limit_group(GroupState& group, const Id& id, const Id& newest);
  void note_loss();
  void touch_loose(const Id& group);
  void publish_view();
  void release_member_row(const std::string& key, std::string_view plain, bool ok);
  void charge(std::size_t key, std::size_t value) {
    totals_.live += static_cast<std::int64_t>(key + value + overhead_);
  }
  void credit(std::size_t key, std::size_t value) {
    totals_.live -= static_cast<std::int64_t>(key + value + overhead_);
  }

  std::unique_ptr<Kv> kv_;
  const Keys& keys_;
  const Sealer& sealer_;
  const Clock& clock_;
  Counters& counters_;
  std::unique_ptr<LossMark> loss_mark_;
  Txn txn_;
  std::atomic<std::uint64_t> budget_;
  std::uint64_t epoch_ = 0, generation_ = 0, losses_ = 0;
  std::size_t overhead_ = Sealer::kNonce + Sealer::kTag;  ///< of a sealed value
  bool failing_ = false, dropping_ = false;
  bool wipe_owed_ = false;  ///< one failed: what is on disk is not to be trusted
  Index index_;
  std::map<Id, Staged> staged_;
  Totals totals_, committed_;
  std::deque<std::pair<Id, std::uint64_t>> garbage_, staged_garbage_;
  std::set<std::pair<Id, Id>> lost_collections_;
  std::shared_ptr<const LostRows> lost_rows_ = std::make_shared<const LostRows>();

  mutable std::mutex view_mutex_;
  std::shared_ptr<const View> view_;
  std::atomic<std::uint64_t> shown_live_{0}, shown_bodies_{0}, shown_collections_{0};
};

}  // namespace holdfast::cache
