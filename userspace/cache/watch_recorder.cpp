#include <algorithm>
#include <atomic>
#include <utility>

#include "cache/engine.h"

namespace holdfast::cache {
namespace {

/// The writer thread's half of a watch.
class WatchRecording {
 public:
  WatchRecording(Archive& archive, Query query, WatchStart start, RecordOptions options)
      : archive_{archive},
        query_{std::move(query)},
        options_{options},
        start_{start},
        // A watch from "the most recent" begins with synthetic ADDED events, in no order: where it
        // stands is known with its first bookmark.
        position_{start.from == 0 || start.initial_events ? Archive::kUnknown : start.from},
        initial_{start.initial_events},
        era_{archive.era()} {}

  void begin() {
    archive_.follow(query_, start_.initial_events ? 0 : std::max(start_.from, start_.shown));
    if (initial_) assembly_ = archive_.begin(query_, options_);
  }
  void end() {
    if (assembly_) archive_.abandon(*assembly_);
    assembly_.reset();
    archive_.unfollow(query_);
  }
  bool event(const kube::WatchEvent& event) {
    if (era_ != archive_.era()) return false;
    if (!initial_) return archive_.apply(query_, options_, event, position_);
    switch (event.type) {
      case kube::EventType::kAdded:
      case kube::EventType::kModified:
        type_ = event.object.type;
        return archive_.add(*assembly_, event.object);
      case kube::EventType::kDeleted:
        return archive_.remove(*assembly_, event.object);
      case kube::EventType::kError:
        return false;
      case kube::EventType::kBookmark:
        break;
    }
    if (!event.initial_events_end) return true;
    initial_ = false;
    if (type_.kind.empty()) type_ = event.object.type;
    const auto assembly = std::exchange(assembly_, nullptr);
    position_ = event.object.meta.resource_version;
    // The server names a list's kind so for every built-in type, and for custom ones by default.
    assembly->draft.list.type = {type_.api_version, type_.kind + "List"};
    return archive_.close(*assembly, position_);
  }
  bool difference(const std::vector<kube::WatchEvent>& events, kube::ResourceVersion to) {
    if (era_ != archive_.era()) return false;
    if (!initial_) archive_.bridge(query_, options_, events, to, position_);
    return !initial_;
  }
  /// An event did not get into the queue. The lists say so; from the next bookmark on this watch
  /// may follow a list that is learned anew.
  void lost() {
    if (era_ != archive_.era()) return;
    archive_.lost_events(query_);
    if (assembly_) archive_.abandon(*assembly_);
    position_ = Archive::kUnknown;
  }

  std::atomic<bool> loss_queued{false};

 private:
  Archive& archive_;
  const Query query_;
  const RecordOptions options_;
  const WatchStart start_;
  kube::ResourceVersion position_;
  bool initial_;
  const std::uint64_t era_;  ///< what began in another one does not count
  kube::TypeMeta type_;
  std::shared_ptr<Assembly> assembly_;
};

/// The I/O thread's half.
class QueueingWatchRecorder final : public WatchRecorder {
 public:
  QueueingWatchRecorder(const std::shared_ptr<Engine>& engine,
                        std::shared_ptr<WatchRecording> recording, const Query& query,
                        RecordOptions options)
      : engine_{engine},
        recording_{std::move(recording)},
        group_{engine->group(query)},
        sync_{options.durability == Durability::kWriteThrough} {
    // Readers wait for it: the list may end here.
    engine->writer->post({.run =
                              [recording = recording_] {
                                recording->begin();
                                return true;
                              },
                          .group = group_});
  }

  ~QueueingWatchRecorder() override {
    if (const auto engine = engine_.lock())
      engine->writer->post({.run = [recording = recording_] {
        recording->end();
        return true;
      }});
  }

  void event(const kube::WatchEvent& event, std::function<void(bool)> on_done) override {
    auto kept = event;
    kept.frame = {};  // would hold the transport's block
    post([recording = recording_, kept = std::move(kept)] { return recording->event(kept); },
         event.object.body.size() + sizeof(event), std::move(on_done));
  }

  void difference(std::vector<kube::WatchEvent> events, kube::ResourceVersion to,
                  std::function<void(bool)> on_done) override {
    std::size_t cost = sizeof(kube::WatchEvent);
    for (auto& event : events) {
      event.frame = {};
      cost += event.object.body.size() + sizeof(event);
    }
    post([recording = recording_, events = std::move(events),
          to] { return recording->difference(events, to); },
         cost, std::move(on_done));
  }

 private:
  void post(std::function<bool()> run, std::size_t cost, std::function<void(bool)> on_done) {
    const auto engine = engine_.lock();
    if (!engine) {
      if (on_done) on_done(false);
      return;
    }
    if (engine->writer->post(
            {.run = std::move(run), .cost = cost, .sync = sync_, .done = on_done, .group = group_}))
      return;
    ++engine->counters.dropped;
    // One that waits says it for all that are lost meanwhile.
    if (recording_->loss_queued.exchange(true) && !on_done) return;
    auto lost = [recording = recording_] {
      recording->loss_queued = false;
      recording->lost();
      return false;
    };
    engine->writer->post({.run = std::move(lost),
                          .cost = 0,
                          .sync = true,
                          .done = std::move(on_done),
                          .group = group_});
  }

  std::weak_ptr<Engine> engine_;  // a recorder may outlive the store
  std::shared_ptr<WatchRecording> recording_;
  const Id group_;
  const bool sync_;
};

}  // namespace

std::unique_ptr<WatchRecorder> make_watch_recorder(const std::shared_ptr<Engine>& engine,
                                                   Query query, WatchStart start,
                                                   RecordOptions options) {
  auto recording = std::make_shared<WatchRecording>(*engine->archive, query, start, options);
  return std::make_unique<QueueingWatchRecorder>(engine, std::move(recording), query, options);
}

}  // namespace holdfast::cache
