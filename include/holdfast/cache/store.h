#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/cache/inspect.h"
#include "holdfast/cache/query.h"
#include "holdfast/identity/credential.h"
#include "holdfast/kube/list.h"
#include "holdfast/kube/object.h"
#include "holdfast/kube/watch_event.h"

namespace holdfast::cache {

/// Takes what one response carries while it streams to the client. `feed` only queues: parsing and
/// writing happen on the store's writer thread. Dropping a recorder without `finish` records
/// nothing: an answer that was cut short is never stored as complete.
class Recorder {
 public:
  virtual ~Recorder() = default;
  /// A piece of the body. When the queue's bound is met the recorder gives up: nothing of this
  /// answer is stored, the client does not notice, it is counted, and what it would have replaced
  /// is not served any more.
  virtual void feed(Slice bytes) = 0;
  /// The body ended in order. `on_done` (may be empty) runs on the writer thread after the commit;
  /// its argument tells whether it is stored (and, with kWriteThrough, synced).
  virtual void finish(std::function<void(bool stored)> on_done) = 0;
};

/// Where a watch begins.
struct WatchStart {
  kube::ResourceVersion from = 0;   ///< as the API server was asked
  bool initial_events = false;      ///< WatchList: sendInitialEvents
  kube::ResourceVersion shown = 0;  ///< what its client has been shown already, if more than `from`
};

/// Follows one watch: each event advances the collection that it belongs to, atomically.
class WatchRecorder {
 public:
  virtual ~WatchRecorder() = default;
  /// `on_done` (may be empty) runs on the writer thread when the event is on disk, or with false
  /// after the collection was marked broken.
  virtual void event(const kube::WatchEvent& event, std::function<void(bool stored)> on_done) = 0;
  /// All that happened up to `to` while nobody watched, at once: what a new list says of the one
  /// that this watch followed so far. Deletions first; those are not younger than `to`.
  virtual void difference(std::vector<kube::WatchEvent> events, kube::ResourceVersion to,
                          std::function<void(bool stored)> on_done) = 0;
};

/// A list as it was shown, at one moment. Bodies are read from disk as they are asked for.
class ListSnapshot {
 public:
  virtual ~ListSnapshot() = default;
  [[nodiscard]] virtual const kube::ListMeta& meta() const = 0;
  [[nodiscard]] virtual kube::ResourceVersion resource_version() const = 0;
  [[nodiscard]] virtual std::size_t size() const = 0;
  /// Sum of ListRenderer::item_size over all items.
  [[nodiscard]] virtual std::size_t items_bytes() const = 0;
  /// True when it was cut out of a larger collection rather than shown as asked.
  [[nodiscard]] virtual bool derived() const = 0;
  /// The form that its objects are in.
  [[nodiscard]] virtual const kube::Representation& representation() const = 0;
  [[nodiscard]] kube::Encoding encoding() const { return representation().encoding; }
  [[nodiscard]] virtual std::chrono::system_clock::time_point shown_at() const = 0;
  /// The kind of one object (of the list's kind where items do not say).
  [[nodiscard]] virtual kube::TypeMeta object_type() const = 0;
  /// The next item in the server's order; false at the end. kCorrupt: the list must not be served
  /// (abort the response), and it was dropped.
  virtual Result<bool> next(kube::Object& out) = 0;
};

enum class Outcome : std::uint8_t {
  kHit,      ///< shown as asked
  kDerived,  ///< follows from what was shown
  kAbsent,   ///< known not to exist: 404
  kMiss,     ///< never shown to this principal: 503
  /// Shown once, but behind what this principal has seen since, or a write was lost: 503.
  kBroken,
  kUnsettled,  ///< what this principal saw is on its way to the disk, and late: 503
};

struct ObjectAnswer {
  Outcome outcome = Outcome::kMiss;
  kube::Object object;  ///< kHit, kDerived
  kube::Encoding encoding = kube::Encoding::kJson;
  kube::ResourceVersion as_of = 0;  ///< the collection's resourceVersion (kAbsent, kDerived)
  std::string not_found_body;       ///< kAbsent by a remembered 404: the server's own Status (JSON)
};

struct ListAnswer {
  Outcome outcome = Outcome::kMiss;
  std::unique_ptr<ListSnapshot> snapshot;  ///< kHit, kDerived
};

/// A plain answer, kept whole: discovery, OpenAPI, /version, Tables as they were asked for.
struct Document {
  /// The resource it shows; empty: none. Whatever ends what was shown of that resource ends it too.
  kube::GroupVersionResource gvr;
  std::string content_type;
  std::string etag;
  Slice body;
  std::chrono::system_clock::time_point shown_at;
};

struct StoreOptions {
  std::filesystem::path directory;
  std::uint64_t budget = std::uint64_t{1} << 30;  ///< bytes on disk
  std::size_t queue_bytes = 64u << 20;            ///< write-behind bound
  std::string key_source = "auto";                ///< cache.key: auto | tpm | file | off | …
};

/// Where the key lies that the cache is encrypted with.
enum class KeyPlace : std::uint8_t {
  kOff,      ///< `off`: nothing is encrypted
  kFile,     ///< beside the data: protects backups of the data alone
  kCommand,  ///< wherever the operator has it
  kTpm,      ///< sealed: it opens on this machine only
  kMemory,   ///< as the cache itself: gone with the process
};

/// tpm, file and so on, as cache.key has it; memory.
std::string_view to_string(KeyPlace place);

struct StoreStats {
  std::uint64_t disk_bytes = 0, budget_bytes = 0, objects = 0, collections = 0, evictions = 0;
  std::uint64_t queue_bytes = 0, dropped_records = 0, corrupt_records = 0, write_errors = 0;
  bool persistent = true;  ///< false: all of it is in memory, and gone with the process
};

/// What the API server says of the cluster that it belongs to.
struct ClusterReport {
  std::string cluster;                ///< as for Store::bind_cluster
  kube::ResourceVersion reached = 0;  ///< Store::reached(), read before the server was asked
  kube::ResourceVersion current = 0;  ///< of a consistent list of its own; 0: not known
};

enum class ClusterVerdict : std::uint8_t {
  kSame,
  kOther,     ///< another cluster than before: everything went, credentials too
  kRestored,  ///< resourceVersions ran backwards: what was shown went
  kFailed,    ///< it should have gone, and the disk does not take it: nothing of it is served
};

/// What principals were shown, on disk. Thread-safe. Reads are synchronous (microseconds for an
/// object); writes go through one writer thread.
class Store {
 public:
  /// Opens or creates the store. A store that can't be opened (corrupt, wrong key) is set aside and
  /// a fresh one made, with a log line. kInvalidArgument and kUnsupported only for options that
  /// can't work; anything else (a full or read-only disk, a key that is not there) may go by.
  static Result<std::unique_ptr<Store>> open(StoreOptions options, const Clock& clock);
  /// A store that lives as long as the process, for when there is no other: 64 MiB at most.
  static Result<std::unique_ptr<Store>> open_in_memory(StoreOptions options, const Clock& clock);
  virtual ~Store() = default;  ///< flushes the queue

  /// A LIST's answer. `continue_token`: the token that this request carried ("" for a first page);
  /// pages of one list are joined, and the collection is complete with its last page.
  virtual std::unique_ptr<Recorder> record_list(Query query, std::string continue_token,
                                                RecordOptions options) = 0;
  /// Shows `to` the list that `from` was shown, which differs in the principal alone: the API
  /// server says that it may see it. On the writer thread, after what is queued. `on_done` tells
  /// whether `to` has a list of at least that version now; a list that is not known to be current
  /// is not shared.
  virtual void share_list(Query from, Query to, kube::ResourceVersion at_least,
                          RecordOptions options, std::function<void(bool shared)> on_done) = 0;
  /// A WATCH. With initial events it builds the collection up to the closing bookmark; else it
  /// advances the existing collection if that is complete and not behind `from`.
  virtual std::unique_ptr<WatchRecorder> record_watch(Query query, WatchStart start,
                                                      RecordOptions options) = 0;
  /// The version from which a watch can follow the list for exactly that query; 0: there is none,
  /// or it is changing right now. Never waits.
  virtual kube::ResourceVersion followed(Query query) = 0;
  /// A GET's answer.
  virtual std::unique_ptr<Recorder> record_get(Query query, RecordOptions options) = 0;
  /// A GET's 404, with the server's Status (JSON).
  virtual void record_not_found(Query query, std::string status, RecordOptions options) = 0;
  /// The answer to a create, update or patch (the object as it now is, GET form), or a delete: what
  /// this principal is served follows at once. `options`: as for a read of the object.
  virtual void record_write(Query query, kube::Encoding encoding, Slice object,
                            RecordOptions options) = 0;
  virtual void record_delete(Query query) = 0;
  /// A delete of a collection: which objects it changed is not known.
  virtual void record_delete_collection(Query scope) = 0;
  /// A write whose outcome was not shown, but for the resourceVersion it led to, if that is known
  /// (else 0): the object is not served until it is shown again, and a list that holds it not until
  /// its own watch or list is newer.
  virtual void record_unseen_write(Query query, kube::ResourceVersion version) = 0;
  virtual void record_document(identity::PrincipalId principal, std::string key, Document document,
                               RecordOptions options) = 0;
  virtual void forget_document(identity::PrincipalId principal, std::string key) = 0;
  /// A fresh 401 or 403 on this scope: what that principal was shown of it goes at once, and so
  /// does what is on its way. An empty name purges the collection, an empty resource everything.
  /// Documents of the resource go in any case: what is in them can't be told. On disk soon.
  virtual void purge(Query scope) = 0;
  /// A 404 on the resource itself (a CRD that is gone): nothing that this principal was shown of it
  /// is so any more. On disk soon.
  virtual void forget_resource(identity::PrincipalId principal, kube::GroupVersionResource gvr) = 0;

  /// Tries the representations in the client's order. `at_least`: answers below it do not count
  /// (0: any).
  virtual ObjectAnswer get(Query query, const std::vector<kube::Representation>& accept,
                           kube::ResourceVersion at_least) = 0;
  virtual ListAnswer list(Query query, const std::vector<kube::Representation>& accept,
                          kube::ResourceVersion at_least) = 0;
  /// What exactly that query was shown by its own lists and watches, if that is at `version`; for
  /// telling what became of it, not for answers: objects may have been seen newer by other means
  /// (they are there, old or as they were seen; of one that was taken out there is no list). Null:
  /// there is none.
  virtual std::unique_ptr<ListSnapshot> base(Query query, kube::ResourceVersion version) = 0;
  virtual std::optional<Document> document(identity::PrincipalId principal, const std::string& key,
                                           const kube::GroupVersionResource& gvr = {}) = 0;
  /// The highest resourceVersion that was delivered to the principal for the resource.
  virtual kube::ResourceVersion floor(identity::PrincipalId principal,
                                      const kube::GroupVersionResource& gvr) = 0;

  [[nodiscard]] virtual identity::CredentialStore& credentials() = 0;
  /// Secret of this store for keyed hashes (32 bytes; survives restarts with the store).
  [[nodiscard]] virtual std::string hmac_key() const = 0;
  [[nodiscard]] virtual StoreStats stats() const = 0;
  [[nodiscard]] virtual KeyPlace key_place() const = 0;
  /// For people; any thread.
  [[nodiscard]] virtual std::vector<CollectionInfo> collections() const = 0;
  /// Looks at `rows` rows at most (20,000 take some 100 ms).
  [[nodiscard]] virtual std::vector<UsageInfo> usage(std::size_t rows) const = 0;
  /// Forgets what was shown: to one principal (none: to any), of one resource (none: of all).
  virtual void remove(std::optional<identity::PrincipalId> principal,
                      std::optional<kube::GroupVersionResource> gvr) = 0;
  /// Binds the store to a cluster: "ROOTS UID", the comma-separated hashes of its CA certificates
  /// and the UID of its kube-system (left out where it is not known). Another one than before, with
  /// no root in common or another UID, wipes it. Waits for the disk.
  virtual Result<void> bind_cluster(std::string_view cluster) = 0;
  /// As `bind_cluster`; besides, versions that ran backwards (etcd was restored from a snapshot)
  /// drop everything that was shown. `done` runs on the writer thread.
  virtual void confirm_cluster(ClusterReport report, std::function<void(ClusterVerdict)> done) = 0;
  /// The highest resourceVersion that the cluster's storage is known to have reached.
  virtual kube::ResourceVersion reached() = 0;
  /// Changes whenever what was shown so far does not count any more: it belonged to another cluster
  /// or to a state that etcd was restored from. What began in an older era is not recorded.
  [[nodiscard]] virtual std::uint64_t era() const = 0;
  /// Waits until everything queued before is written (tests, shutdown).
  virtual void drain() = 0;
  virtual void set_budget(std::uint64_t bytes) = 0;
};

}  // namespace holdfast::cache
