#include "holdfast/cache/store.h"

#include <spdlog/spdlog.h>

#include <future>
#include <set>

#include "cache/codec.h"
#include "cache/credential_rows.h"
#include "cache/engine.h"
#include "cache/inspect.h"

namespace holdfast::cache {
namespace {

/// What lives in memory only is small (Secrets) and never worth more than this.
constexpr std::uint64_t kMemoryBudget = 64u << 20;

/// The resourceVersion of a Table or another document of a resource; 0: it does not say.
kube::ResourceVersion version_of(const Document& document) {
  if (document.gvr.resource.empty()) return 0;
  const auto object = kube::parse_object(kube::Encoding::kJson, document.body);
  return object ? object->meta.resource_version : 0;
}

/// A request for one Namespace names it twice (RequestInfo: namespace and name); the object itself
/// is in none.
Query normal(Query query) {
  if (query.gvr.group.empty() && query.gvr.resource == "namespaces") query.ns.clear();
  return query;
}

class RocksStore final : public Store {
 public:
  explicit RocksStore(std::shared_ptr<Engine> engine)
      : engine_{std::move(engine)},
        credentials_{engine_->disk->kv(), engine_->keys, engine_->sealer,
                     [this] { post(std::nullopt, 0, [this] { sync(); }); }} {
    engine_->writer->start();
  }
  ~RocksStore() override { engine_->writer->stop(); }

  std::unique_ptr<Recorder> record_list(Query query, std::string continue_token,
                                        RecordOptions options) override {
    return make_list_recorder(engine_, normal(std::move(query)), std::move(continue_token),
                              options);
  }
  void share_list(Query from, Query to, kube::ResourceVersion at_least, RecordOptions options,
                  std::function<void(bool)> on_done) override {
    from = normal(std::move(from));
    to = normal(std::move(to));
    const auto group = engine_->group(to);
    auto run = [this, from = std::move(from), to = std::move(to), at_least, options] {
      return engine_->archive->share(from, to, at_least, options);
    };
    engine_->writer->post({.run = std::move(run),
                           .sync = options.durability == Durability::kWriteThrough,
                           .done = std::move(on_done),
                           .group = group});
  }
  std::unique_ptr<WatchRecorder> record_watch(Query query, WatchStart start,
                                              RecordOptions options) override {
    return make_watch_recorder(engine_, normal(std::move(query)), start, options);
  }
  kube::ResourceVersion followed(Query query) override {
    query = normal(std::move(query));
    const auto group = engine_->group(query);
    if (!engine_->unsettled.wait(group, std::chrono::milliseconds{0})) return 0;
    for (auto* shelf : {engine_->disk.get(), engine_->memory.get()}) {
      const auto view = shelf->view();
      const auto state = view->index.find(group);
      const auto* list = state ? state->find(engine_->keys.collection(query)) : nullptr;
      if (list != nullptr && !list->meta.broken) return list->meta.version;
    }
    return 0;
  }
  std::unique_ptr<Recorder> record_get(Query query, RecordOptions options) override {
    return make_get_recorder(engine_, normal(std::move(query)), options);
  }

  void record_not_found(Query query, std::string status, RecordOptions options) override {
    query = normal(std::move(query));
    const auto group = engine_->group(query);
    post(
        group, 0,
        [this, query, status = std::move(status), options] {
          engine_->archive->not_found(query, options, status);
        },
        true);
    drop_documents(query);
  }

  void record_write(Query query, kube::Encoding encoding, Slice object,
                    RecordOptions options) override {
    query = normal(std::move(query));
    const auto group = engine_->group(query);
    const auto cost = object.size();
    drop_documents(query);
    const bool posted = post(group, cost, [this, query, encoding, object, options] {
      const auto parsed = kube::parse_object(encoding, object);
      if (!parsed) return engine_->archive->lost_sight(query, 0);
      engine_->archive->written(query, options, kube::Representation{.encoding = encoding},
                                *parsed);
    });
    if (posted) return;
    ++engine_->counters.dropped;
    post(group, 0, [this, query = std::move(query)] { engine_->archive->lost_sight(query, 0); });
  }

  void record_delete(Query query) override {
    query = normal(std::move(query));
    const auto group = engine_->group(query);
    drop_documents(query);
    post(group, 0, [this, query = std::move(query)] { engine_->archive->deleted(query); });
  }

  void record_delete_collection(Query scope) override {
    scope = normal(std::move(scope));
    const auto group = engine_->group(scope);
    drop_documents(scope);
    post(group, 0, [this, scope = std::move(scope)] { engine_->archive->lost_many(scope); });
  }

  void record_unseen_write(Query query, kube::ResourceVersion version) override {
    query = normal(std::move(query));
    const auto group = engine_->group(query);
    drop_documents(query);
    post(group, 0, [this, query = std::move(query), version] {
      engine_->archive->lost_sight(query, version);
    });
  }

  void record_document(identity::PrincipalId principal, std::string key, Document document,
                       RecordOptions options) override {
    const auto group = engine_->keys.group(principal, documents(document.gvr));
    const auto cost = document.body.size();
    const bool posted = post(group, cost, [this, group, principal, key, document, options] {
      auto& shelf = engine_->archive->shelf(options.residence);
      const auto version = version_of(document);
      const auto* known = shelf.find_group(group);
      const auto oldest = known ? std::min(known->record.floor, version) : version;
      shelf.set_floor(
          shelf.edit_group(group, principal, documents(document.gvr), options.node_component),
          oldest);
      shelf.put_document(group, engine_->keys.hash(key),
                         {.content_type = document.content_type,
                          .etag = document.etag,
                          .body = std::string{document.body.view()},
                          .node_component = options.node_component,
                          .shown_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                                          document.shown_at.time_since_epoch())
                                          .count()});
    });
    if (posted) return;
    ++engine_->counters.dropped;
    drop_document(group, std::move(key));
  }

  void forget_document(identity::PrincipalId principal, std::string key) override {
    drop_document(engine_->keys.group(principal, documents({})), std::move(key));
  }

  void purge(Query scope) override {
    scope = normal(std::move(scope));
    if (!scope.gvr.resource.empty()) drop_documents(scope);
    // Without a resource it is about all that the principal has: the group of no resource is the
    // one that every reader waits for.
    const auto group = scope.gvr.resource.empty() ? engine_->keys.group(scope.principal, {})
                                                  : engine_->group(scope);
    post(
        group, 0, [this, scope = std::move(scope)] { engine_->archive->purge(scope); }, true);
  }

  void forget_resource(identity::PrincipalId principal, kube::GroupVersionResource gvr) override {
    Query scope;
    scope.principal = principal;
    scope.gvr = std::move(gvr);
    const auto group = engine_->group(scope);
    drop_documents(scope);
    post(
        group, 0, [this, scope = std::move(scope)] { engine_->archive->forget_resource(scope); },
        true);
  }

  ObjectAnswer get(Query query, const std::vector<kube::Representation>& accept,
                   kube::ResourceVersion at_least) override {
    return read_object(engine_, normal(std::move(query)), accept, at_least);
  }
  ListAnswer list(Query query, const std::vector<kube::Representation>& accept,
                  kube::ResourceVersion at_least) override {
    return read_list(engine_, normal(std::move(query)), accept, at_least);
  }

  std::unique_ptr<ListSnapshot> base(Query query, kube::ResourceVersion version) override {
    return read_base(engine_, normal(std::move(query)), version);
  }

  std::optional<Document> document(identity::PrincipalId principal, const std::string& key,
                                   const kube::GroupVersionResource& gvr) override {
    const auto group = engine_->keys.group(principal, documents(gvr));
    const bool settled =
        engine_->unsettled.wait(group, std::chrono::milliseconds{50}) &&
        engine_->unsettled.wait(engine_->keys.group(principal, {}), std::chrono::milliseconds{50});
    // A change that is on its way may end it.
    if (!settled) return std::nullopt;
    const auto row = Keys::row(Row::kDocument, group, engine_->keys.hash(key));
    for (auto* shelf : {engine_->memory.get(), engine_->disk.get()}) {
      const auto view = shelf->view();
      const auto state = view->index.find(group);
      if (!state || view->lost->contains(row)) continue;
      std::string sealed, plain;
      const auto found = shelf->kv().get(row, sealed, view->snapshot.get());
      if (found && !*found) continue;
      auto record =
          found && engine_->sealer.open(row, sealed, plain) ? decode_document(plain) : std::nullopt;
      if (!record) {
        ++engine_->counters.corrupt;
        post(group, 0, [shelf, row] { shelf->txn().erase(row); });
        continue;
      }
      state->loose->used_ms = unix_ms(engine_->clock);
      return Document{.gvr = gvr,
                      .content_type = std::move(record->content_type),
                      .etag = std::move(record->etag),
                      .body = Slice::own(std::move(record->body)),
                      .shown_at = std::chrono::system_clock::time_point{
                          std::chrono::milliseconds{record->shown_ms}}};
    }
    return std::nullopt;
  }

  kube::ResourceVersion floor(identity::PrincipalId principal,
                              const kube::GroupVersionResource& gvr) override {
    const auto group = engine_->keys.group(principal, gvr);
    engine_->unsettled.wait(group, std::chrono::milliseconds{50});
    kube::ResourceVersion out = 0;
    for (auto* shelf : {engine_->disk.get(), engine_->memory.get()})
      if (const auto state = shelf->view()->index.find(group))
        out = std::max(out, state->record.floor);
    return out;
  }

  [[nodiscard]] identity::CredentialStore& credentials() override { return credentials_; }
  [[nodiscard]] std::string hmac_key() const override { return engine_->credential_key; }

  [[nodiscard]] StoreStats stats() const override {
    const auto& disk = *engine_->disk;
    const auto& memory = *engine_->memory;
    const auto& counters = engine_->counters;
    return {.disk_bytes = disk.live_bytes(),
            .budget_bytes = engine_->budget,
            .objects = disk.bodies() + memory.bodies(),
            .collections = disk.collections() + memory.collections(),
            .evictions = counters.evictions,
            .queue_bytes = engine_->writer->queued_bytes(),
            .dropped_records = counters.dropped,
            .corrupt_records = counters.corrupt,
            .write_errors = counters.write_errors,
            .persistent = engine_->persistent};
  }
  [[nodiscard]] KeyPlace key_place() const override { return engine_->key_place; }
  [[nodiscard]] std::vector<CollectionInfo> collections() const override {
    return list_collections(*engine_);
  }
  [[nodiscard]] std::vector<UsageInfo> usage(std::size_t rows) const override {
    return count_usage(*engine_, rows);
  }

  void remove(std::optional<identity::PrincipalId> principal,
              std::optional<kube::GroupVersionResource> gvr) override {
    std::set<std::pair<identity::PrincipalId, kube::GroupVersionResource>> scopes;
    for (const auto* shelf : {engine_->disk.get(), engine_->memory.get()})
      shelf->view()->index.each([&](const Id&, const std::shared_ptr<const GroupState>& group) {
        const auto& record = group->record;
        if (principal && record.principal != *principal) return;
        if (!gvr || record.gvr == *gvr || record.gvr == documents(*gvr))
          scopes.emplace(record.principal, record.gvr);
      });
    for (const auto& [who, what] : scopes) {
      Query scope;
      scope.principal = who;
      scope.gvr = what;
      const auto group = engine_->group(scope);
      post(
          group, 0, [this, scope] { engine_->archive->forget_resource(scope); }, true);
    }
  }

  Result<void> bind_cluster(std::string_view cluster) override {
    auto verdict = ClusterVerdict::kFailed;
    wait_for([&] { verdict = engine_->cluster->confirm({.cluster = std::string{cluster}}); });
    if (verdict == ClusterVerdict::kFailed)
      return make_error(Errc::kUnavailable, "the cache can't be bound to its cluster");
    return {};
  }

  void confirm_cluster(ClusterReport report, std::function<void(ClusterVerdict)> done) override {
    auto verdict = std::make_shared<ClusterVerdict>(ClusterVerdict::kFailed);
    auto* cluster = engine_->cluster.get();
    engine_->writer->post({.run =
                               [cluster, report = std::move(report), verdict] {
                                 *verdict = cluster->confirm(report);
                                 return true;
                               },
                           .cost = 0,
                           .sync = true,
                           .done = [done = std::move(done), verdict](bool) { done(*verdict); },
                           .group = std::nullopt});
  }
  kube::ResourceVersion reached() override { return engine_->cluster->reached(); }
  [[nodiscard]] std::uint64_t era() const override { return engine_->archive->era(); }

  void drain() override {
    wait_for([this] {
      for (auto* shelf : {engine_->disk.get(), engine_->memory.get()})
        while (shelf->commit(false) && shelf->sweep(512)) {
        }
    });
  }

  void set_budget(std::uint64_t bytes) override {
    post(std::nullopt, 0, [this, bytes] {
      engine_->budget = bytes;
      engine_->disk->set_budget(Kv::live_share(bytes));
      engine_->disk->make_room();
      if (!engine_->disk->kv().set_budget(bytes)) ++engine_->counters.write_errors;
    });
  }

 private:
  /// What was written beside the archive's own commits.
  void sync() {
    if (!engine_->disk->kv().sync()) ++engine_->counters.write_errors;
  }

  void drop_document(const Id& group, std::string key) {
    post(group, 0, [this, group, key = std::move(key)] {
      for (auto* shelf : {engine_->memory.get(), engine_->disk.get()})
        shelf->drop_document(group, engine_->keys.hash(key));
    });
  }

  void drop_documents(const Query& scope) {
    const auto group = engine_->keys.group(scope.principal, documents(scope.gvr));
    post(group, 0, [this, group] {
      for (auto* shelf : {engine_->memory.get(), engine_->disk.get()})
        if (shelf->find_group(group) != nullptr) shelf->drop_group(group);
    });
  }

  /// `sync`: a power cut must not bring back what it takes away.
  bool post(std::optional<Id> group, std::size_t cost, std::function<void()> change,
            bool sync = false) {
    return engine_->writer->post({.run =
                                      [change = std::move(change)] {
                                        change();
                                        return true;
                                      },
                                  .cost = cost,
                                  .sync = sync,
                                  .group = group});
  }

  /// Runs on the writer thread after all that is queued; returns when it is committed.
  void wait_for(std::function<void()> change) {
    auto finished = std::make_shared<std::promise<void>>();
    auto future = finished->get_future();
    const bool posted =
        engine_->writer->post({.run =
                                   [change = std::move(change)] {
                                     change();
                                     return true;
                                   },
                               .cost = 0,
                               .sync = true,
                               .done = [finished](bool) { finished->set_value(); }});
    if (posted) future.wait();
  }

  std::shared_ptr<Engine> engine_;
  CredentialRows credentials_;
};

/// What is known about one older store is kept aside, for whoever wants to know what happened to
/// it; not what was in it, which would count against the budget.
void set_aside(const std::filesystem::path& path, const Error& why) {
  spdlog::warn("cache: {} can't be used ({}), starting afresh; the old one's log is in {}.corrupt",
               path.string(), why.to_string(), path.string());
  std::error_code ignored;
  const std::filesystem::path aside = path.string() + ".corrupt";
  std::filesystem::remove_all(aside, ignored);
  std::filesystem::rename(path, aside, ignored);
  if (ignored) std::filesystem::remove_all(path, ignored);
  std::vector<std::filesystem::path> rows;
  for (const auto& entry : std::filesystem::directory_iterator{aside, ignored}) {
    const auto kind = entry.path().extension();
    if (kind == ".sst" || kind == ".log") rows.push_back(entry.path());
  }
  for (const auto& file : rows) std::filesystem::remove(file, ignored);
}

}  // namespace

void report_corrupt(const std::shared_ptr<Engine>& engine, const Query& query) {
  ++engine->counters.corrupt;
  auto* archive = engine->archive.get();
  engine->writer->post({.run =
                            [archive, query] {
                              archive->unreadable(query);
                              return true;
                            },
                        .cost = 0,
                        .group = engine->group(query)});
}

Result<std::unique_ptr<Store>> open_store(StoreOptions options, const Clock& clock,
                                          std::unique_ptr<Kv> disk, std::unique_ptr<Kv> memory,
                                          const StoreKey& key, std::unique_ptr<LossMark> loss_mark,
                                          bool persistent) {
  auto engine = std::make_shared<Engine>(key, clock);
  engine->persistent = persistent;
  if (disk->log_was_damaged()) {
    ++engine->counters.corrupt;
    spdlog::warn("cache: its log is torn or damaged: what was written after that place is gone");
  }
  engine->budget = options.budget;
  auto on_disk = Shelf::open(std::move(disk), engine->keys, engine->sealer, clock, engine->counters,
                             Kv::live_share(options.budget), std::move(loss_mark));
  if (!on_disk) return on_disk.error();
  engine->disk = std::move(*on_disk);
  auto in_memory = Shelf::open(std::move(memory), engine->keys, engine->sealer, clock,
                               engine->counters, std::min(options.budget, kMemoryBudget), nullptr);
  if (!in_memory) return in_memory.error();
  engine->memory = std::move(*in_memory);
  engine->archive = std::make_unique<Archive>(*engine->disk, *engine->memory, engine->keys, clock,
                                              engine->counters);
  engine->cluster = std::make_unique<Cluster>(*engine->archive, *engine->disk, *engine->memory);
  engine->writer = std::make_unique<Writer>(*engine->archive, *engine->disk, *engine->memory,
                                            engine->unsettled, options.queue_bytes);
  return std::unique_ptr<Store>{std::make_unique<RocksStore>(std::move(engine))};
}

Result<std::unique_ptr<Store>> Store::open(StoreOptions options, const Clock& clock) {
  if (options.budget == 0 || options.queue_bytes == 0)
    return make_error(Errc::kInvalidArgument, "cache.budget must be more than zero");
  std::error_code failed;
  std::filesystem::create_directories(options.directory, failed);
  if (failed) return Error{failed, options.directory.string()};
  std::filesystem::permissions(options.directory, std::filesystem::perms::owner_all, failed);
  auto key = load_store_key(options.directory, options.key_source);
  if (!key) return key.error();
  const auto path = options.directory / "store";
  Error last;
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto mark = LossMark::open(options.directory / "lost-writes");
    auto disk = Kv::open_disk(path, options.budget);
    auto memory = Kv::open_memory();
    if (!memory) return memory.error();
    if (disk) {
      auto store = open_store(options, clock, std::move(*disk), std::move(*memory), *key,
                              mark ? std::move(*mark) : nullptr);
      if (store) return store;
      last = store.error();
    } else {
      last = disk.error();
    }
    // A store that another process holds, or that a full disk keeps from opening, is not damaged.
    if (last.code != make_error_code(Errc::kCorrupt)) break;
    if (attempt == 0) set_aside(path, last);
  }
  return last;
}

Result<std::unique_ptr<Store>> Store::open_in_memory(StoreOptions options, const Clock& clock) {
  options.budget = std::min(options.budget, kMemoryBudget);
  auto key = make_store_key();
  if (!key) return key.error();
  auto rows = Kv::open_memory();
  auto memory = Kv::open_memory();
  if (!rows) return rows.error();
  if (!memory) return memory.error();
  return open_store(std::move(options), clock, std::move(*rows), std::move(*memory), *key, nullptr,
                    false);
}

}  // namespace holdfast::cache
