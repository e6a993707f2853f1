#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cache/shelf.h"
#include "holdfast/cache/query.h"
#include "holdfast/kube/watch_event.h"

namespace holdfast::cache {

/// A list on its way in: its members are under a generation that no reader looks at.
struct Assembly {
  CollectionMeta draft;
  Shelf* shelf = nullptr;
  bool open = true;
  bool any_page = false;
  std::uint64_t losses = 0;          ///< of the shelf when it began
  kube::ResourceVersion newest = 0;  ///< of its objects
  std::chrono::steady_clock::time_point touched;
};

/// What the writer thread does to the shelves: the rules of what may be remembered and what follows
/// from what. One thread.
class Archive {
 public:
  Archive(Shelf& disk, Shelf& memory, const Keys& keys, const Clock& clock, Counters& counters)
      : disk_{disk}, memory_{memory}, keys_{keys}, clock_{clock}, counters_{counters} {}

  /// Changes when what was shown so far does not count any more. Any thread.
  [[nodiscard]] std::uint64_t era() const { return era_; }
  void begin_era() { ++era_; }

  // Lists (assemblies.cpp).
  std::shared_ptr<Assembly> begin(const Query& query, const RecordOptions& options);
  /// The list that `from` was shown, for `to` as well (Store::share_list).
  bool share(const Query& from, const Query& to, kube::ResourceVersion at_least,
             const RecordOptions& options);
  /// The assembly that waits for the page behind `token`; null when there is none.
  std::shared_ptr<Assembly> resume(const Query& query, const std::string& token);
  /// False when it was given up.
  bool add(Assembly& assembly, const kube::Object& object);
  bool remove(Assembly& assembly, const kube::Object& object);
  /// A page ended. `token`: the one it was asked for with. True when the collection is complete or
  /// waits for its next page.
  bool page(const std::shared_ptr<Assembly>& assembly, const std::string& token,
            const kube::ListMeta& meta);
  /// The collection is complete at `version`.
  bool close(Assembly& assembly, kube::ResourceVersion version);
  void abandon(Assembly& assembly);
  /// Gives up what is under way for that principal, of that resource (empty: of any).
  void abandon_all(const identity::PrincipalId& principal, const kube::GroupVersionResource& gvr);
  /// Gives up pages that nobody continues, and all of them when `everything`.
  void expire(bool everything);

  // Watches (watches.cpp). `position`: up to where the watch is known to have delivered everything.
  static constexpr kube::ResourceVersion kUnknown = ~kube::ResourceVersion{0};
  bool apply(const Query& query, const RecordOptions& options, const kube::WatchEvent& event,
             kube::ResourceVersion& position);
  /// What happened between `position` and `to`, all of it (WatchRecorder::difference).
  void bridge(const Query& query, const RecordOptions& options,
              const std::vector<kube::WatchEvent>& events, kube::ResourceVersion to,
              kube::ResourceVersion& position);
  /// A watch begins, whose client is at `shown` already: a list from before that is not served
  /// until it is as new.
  void follow(const Query& query, kube::ResourceVersion shown);
  void unfollow(const Query& query);
  /// Events were shown that could not be kept: nothing of that resource is known to be current.
  void lost_events(const Query& query);

  // Single objects (objects.cpp).
  void shown(const Query& query, const RecordOptions& options, const kube::Object& object);
  void not_found(const Query& query, const RecordOptions& options, const std::string& status);
  void written(const Query& query, const RecordOptions& options,
               const kube::Representation& representation, const kube::Object& object);
  void deleted(const Query& query);
  /// The object is newer than what is known of it: of that `version`, or of one that nobody said
  /// (0). Lists that hold it wait for their own watch or list.
  void lost_sight(const Query& query, kube::ResourceVersion version);
  void purge(const Query& scope);
  /// There is no such resource (any more).
  void forget_resource(const Query& scope);
  /// Any number of objects in that namespace (empty: in all) may be newer than what is known of
  /// them. Their lists wait for their own watch or list, which lack nothing.
  void lost_many(const Query& scope);
  /// A record of it did not open: with a name the object's own, the list's else.
  void unreadable(const Query& query);

  // What one answer means for the others (sightings.cpp).
  struct Sighting {
    const Query& query;  ///< principal, resource and representation count
    std::string_view ns, name;
    kube::ResourceVersion version = 0;
    const kube::Object* object = nullptr;  ///< null: gone
    bool certain = true;                   ///< gone: deleted, not only out of a selector's sight
    const Id* source = nullptr;            ///< the collection that knows already
    bool own = false;                      ///< written by the principal: its lists show it at once
  };
  void sight(const Sighting& sighting);
  /// Something of that resource was shown as of `version`: Tables and the like from before may show
  /// it otherwise.
  void outdate_documents(const Query& query, kube::ResourceVersion version);
  void reconcile(Shelf& shelf, CollectionMeta& fresh, kube::ResourceVersion floor);

  Shelf& shelf(Residence residence) { return residence == Residence::kDisk ? disk_ : memory_; }
  [[nodiscard]] std::vector<Shelf*> shelves() { return {&disk_, &memory_}; }

 private:
  static constexpr std::size_t kMaxAssemblies = 64;
  static constexpr std::chrono::minutes kAssemblyAge{10};

  /// Where the list is, or would be; its principal has seen `seen` of the resource.
  Shelf& home_of(const Query& query, const RecordOptions& options, const Id& id,
                 kube::ResourceVersion seen);
  void enter(Shelf& shelf, CollectionMeta& meta, const kube::WatchEvent& event,
             kube::ResourceVersion gone_by);
  void sight_event(const Query& query, const kube::WatchEvent& event, kube::ResourceVersion version,
                   const Id* source);
  void advance(const CollectionState& state, CollectionMeta& meta, kube::ResourceVersion version);
  enum class Fit { kStays, kLeaves, kUnknown };
  static Fit fit(const CollectionMeta& meta, const kube::Object& object);
  bool alive(Assembly& assembly);
  void sight_collections(Shelf& shelf, const Id& group, const Sighting& sighting);
  void sight_record(Shelf& shelf, const Id& group, const Sighting& sighting);
  void bring_up(Shelf& shelf, CollectionMeta& meta, const CollectionMeta& other, Shelf& from,
                const Id& object, const Member& newer);
  void reconcile_with(Shelf& shelf, CollectionMeta& fresh, Shelf& other_shelf, const Id& other);
  void reconcile_records(Shelf& shelf, CollectionMeta& fresh);
  void remember_shown(Shelf& shelf, const Query& query, const kube::Representation& representation,
                      const kube::Object& object, bool node_component, bool own);
  /// `home`: where the absence is remembered.
  void forget_shown(const Query& query, GetRecord::Absence absence, const std::string& status,
                    Shelf& home);
  kube::ResourceVersion floor(const Id& group) const;

  Shelf& disk_;
  Shelf& memory_;
  const Keys& keys_;
  const Clock& clock_;
  Counters& counters_;
  std::map<Id, std::shared_ptr<Assembly>> waiting_;  ///< by collection and continue token
  std::vector<std::weak_ptr<Assembly>> open_;
  std::map<Id, unsigned> followers_;
  std::atomic<std::uint64_t> era_{1};
};

}  // namespace holdfast::cache
