#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/event.h"
#include "holdfast/cache/query.h"
#include "holdfast/kube/watch_event.h"

namespace holdfast::share {

/// Events of one upstream watch on their way to all who share it.
struct HubBatch {
  std::vector<kube::WatchEvent> events;  ///< with frames
  kube::ResourceVersion end = 0;         ///< where those are who got it
  /// A difference (after a 410) from exactly here; its events are one step, up to `end`.
  std::optional<kube::ResourceVersion> base;
  kube::TypeMeta type;    ///< of a difference's objects
  std::size_t bytes = 0;  ///< what it takes; reckoned when it is published
};
using HubBatchPtr = std::shared_ptr<const HubBatch>;

/// One watch's place at a hub; belongs to the thread that joined.
class HubReader {
 public:
  /// What a reader may leave unread, in bytes; beyond, it goes on with a watch of its own.
  static constexpr std::size_t kBacklog = 4 * 1024 * 1024;

  explicit HubReader(Executor executor);
  HubReader(const HubReader&) = delete;
  HubReader& operator=(const HubReader&) = delete;
  ~HubReader() = default;  // the hub notices

  /// The next batch; null: none yet, or, where `ended`, none any more.
  HubBatchPtr next();
  [[nodiscard]] bool ended() const;
  /// Returns when something changed, at the latest after `limit`.
  Task<> wait(SteadyClock::duration limit);

 private:
  friend class Hub;
  struct Inbox : std::enable_shared_from_this<Inbox> {
    explicit Inbox(Executor e) : executor{std::move(e)} {}
    void put(HubBatchPtr batch);
    void end();
    void wake();

    Executor executor;
    std::weak_ptr<Event> changed;  ///< locked on that executor only
    mutable std::mutex mutex;
    std::deque<HubBatchPtr> batches;
    std::size_t bytes = 0;
    bool ended = false, waking = false;
  };
  std::shared_ptr<Event> changed_;
  std::shared_ptr<Inbox> inbox_;
};

/// Equal watches that share one upstream stream: that of their leader, whose credential it carries.
/// It ends with its leader; the others elect another one among themselves, and go on from where
/// each of them is. Thread-safe.
class Hub {
 public:
  explicit Hub(kube::ResourceVersion from) : window_begin_{from} {}

  // The leader's.
  /// The API server answers in this form, to this query.
  void opened(cache::Query query);
  void publish(HubBatch batch);
  void close();
  /// True while others go with it.
  [[nodiscard]] bool followed() const;

  // Anyone's.
  /// Null: it ended, or has forgotten what came after `from`.
  std::unique_ptr<HubReader> join(Executor executor, kube::ResourceVersion from);
  [[nodiscard]] bool covers(kube::ResourceVersion from) const;
  /// The leader's own query; empty: not answered yet.
  [[nodiscard]] std::optional<cache::Query> query() const;

 private:
  /// What is kept for those who come with a version from a moment ago.
  static constexpr std::size_t kWindow = 64 * 1024;  // bytes
  /// For how long those who were where a difference begins may still come for it.
  static constexpr std::chrono::seconds kDifferenceKept{30};

  [[nodiscard]] bool covers_locked(kube::ResourceVersion from) const;

  mutable std::mutex mutex_;
  std::deque<HubBatchPtr> window_;  ///< a difference stands first, or is not kept
  std::size_t window_bytes_ = 0;    ///< without a difference's
  SteadyClock::time_point difference_until_{};
  kube::ResourceVersion window_begin_;
  std::optional<cache::Query> query_;
  std::vector<std::weak_ptr<HubReader::Inbox>> inboxes_;
  bool closed_ = false;
};

class Hubs;

/// A leader's hold on its hub, which ends with it.
class HubLead {
 public:
  HubLead(Hubs& hubs, std::string key, std::shared_ptr<Hub> hub);
  HubLead(const HubLead&) = delete;
  HubLead& operator=(const HubLead&) = delete;
  ~HubLead();
  Hub& hub() { return *hub_; }
  [[nodiscard]] const std::string& key() const { return key_; }

 private:
  Hubs& hubs_;
  std::string key_;
  std::shared_ptr<Hub> hub_;
};

/// The hubs of this process, by what their watches ask for. Thread-safe.
class Hubs {
 public:
  /// Null: none.
  [[nodiscard]] std::shared_ptr<Hub> find(const std::string& key) const;
  /// A hub that begins at `from`; null when there is one already.
  std::unique_ptr<HubLead> lead(std::string key, kube::ResourceVersion from);

 private:
  friend class HubLead;
  void remove(const std::string& key, const Hub* hub);

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Hub>, std::less<>> hubs_;
};

}  // namespace holdfast::share
