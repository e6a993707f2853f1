#pragma once

#include <memory>
#include <string>

#include "cache/archive.h"
#include "cache/cluster.h"
#include "cache/sealer.h"
#include "cache/store_key.h"
#include "cache/writer.h"
#include "holdfast/cache/store.h"

namespace holdfast::cache {

/// What recorders, snapshots and the store share; it lives as long as any of them.
struct Engine {
  Engine(const StoreKey& key, const Clock& c)
      : clock{c},
        keys{key.names},
        sealer{key.sealing},
        credential_key{key.credentials},
        key_place{key.place} {}

  const Clock& clock;
  const Keys keys;
  const Sealer sealer;
  const std::string credential_key;
  const KeyPlace key_place;
  Counters counters;
  std::atomic<std::uint64_t> budget{0};  ///< bytes on disk
  bool persistent = true;
  Unsettled unsettled;
  std::unique_ptr<Shelf> disk, memory;
  std::unique_ptr<Archive> archive;
  std::unique_ptr<Cluster> cluster;
  std::unique_ptr<Writer> writer;

  [[nodiscard]] Id group(const Query& query) const {
    return keys.group(query.principal, query.gvr);
  }
};

std::unique_ptr<Recorder> make_list_recorder(const std::shared_ptr<Engine>& engine, Query query,
                                             std::string continue_token, RecordOptions options);
std::unique_ptr<Recorder> make_get_recorder(const std::shared_ptr<Engine>& engine, Query query,
                                            RecordOptions options);
std::unique_ptr<WatchRecorder> make_watch_recorder(const std::shared_ptr<Engine>& engine,
                                                   Query query, WatchStart start,
                                                   RecordOptions options);

ObjectAnswer read_object(const std::shared_ptr<Engine>& engine, const Query& query,
                         const std::vector<kube::Representation>& accept,
                         kube::ResourceVersion at_least);
ListAnswer read_list(const std::shared_ptr<Engine>& engine, const Query& query,
                     const std::vector<kube::Representation>& accept,
                     kube::ResourceVersion at_least);

std::unique_ptr<ListSnapshot> read_base(const std::shared_ptr<Engine>& engine, const Query& query,
                                        kube::ResourceVersion version);

/// Which members of a collection.
enum class Members : std::uint8_t {
  kThere,  ///< what is served
  kAll,    ///< and what the list's own watch has yet to take back (Member::gone)
};

/// A collection as it is in `view`, narrowed to `query`. kCorrupt: a member does not open.
Result<std::unique_ptr<ListSnapshot>> make_snapshot(std::shared_ptr<Engine> engine, Shelf& shelf,
                                                    std::shared_ptr<const View> view,
                                                    std::shared_ptr<const GroupState> group,
                                                    const CollectionState& collection,
                                                    const Query& query, Members members);

/// A record did not open: the collection is not served until it is learned again.
void report_corrupt(const std::shared_ptr<Engine>& engine, const Query& query);

/// Opens the engine over these stores; the seam for tests that make writing fail.
Result<std::unique_ptr<Store>> open_store(StoreOptions options, const Clock& clock,
                                          std::unique_ptr<Kv> disk, std::unique_ptr<Kv> memory,
                                          const StoreKey& key, std::unique_ptr<LossMark> loss_mark,
                                          bool persistent = true);

}  // namespace holdfast::cache
