#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/task.h"
#include "holdfast/cache/store.h"
#include "holdfast/kube/watch_event.h"
#include "read/attempt.h"
#include "request/context.h"
#include "request/request.h"
#include "share/shared.h"
#include "watch/difference.h"
#include "watch/table.h"

namespace holdfast::watch {

/// One client's watch, from its request to its end, across any number of upstream streams.
/// Invariant: the resourceVersion of a delivered event never exceeds what has been delivered in
/// full, because reflectors resume from it (client-go tools/cache/reflector.go).
class Session {
 public:
  Session(request::ThreadContext& thread, std::shared_ptr<request::Request> request);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Task<> run();

 private:
  enum class Outcome : std::uint8_t {
    kEnded,  ///< the client has its last byte, or is gone
    kCut,    ///< the upstream stream broke, or never came to be
    kAgain,  ///< to be asked for once more, in another way
  };
  /// One upstream stream, from its request to its end.
  Task<Outcome> follow();
  /// False when there is no reason to wait for it any longer.
  Task<bool> wait_for_head(std::shared_ptr<read::Attempt> attempt);
  Task<Outcome> answer_refusal(std::shared_ptr<read::Attempt> attempt);
  /// 429 and 5xx pass. So does a 403 to a watch that was allowed before, within `doubt`.
  bool ask_again(unsigned status, std::optional<SteadyClock::time_point>& forbidden_since) const;
  Task<Outcome> pass_events(std::shared_ptr<read::Attempt> attempt);
  /// After a 410: what this watch's events have led to so far; null when that is not known.
  [[nodiscard]] Task<std::unique_ptr<Difference>> find_difference();
  /// Lists, and delivers what became of it since; `expired` (an event) when that can't be.
  Task<Outcome> tell_difference(std::unique_ptr<Difference> difference, Slice expired);
  Task<Outcome> deliver_difference(kube::TypeMeta type, std::vector<kube::WatchEvent> events,
                                   kube::ResourceVersion to);
  /// For what can't be read: as it comes, and over when it ends.
  Task<> pass_untouched(std::shared_ptr<read::Attempt> attempt, http::ResponseHead head);
  /// Takes one event into account; false when it ends the watch.
  bool take(const kube::WatchEvent& event, std::string& batch);
  Task<bool> deliver(std::string batch);
  Task<> until_durable();

  /// Begins the answer without the API server; false when that can't be (then a Status was sent).
  Task<bool> begin_offline();
  /// Goes on from the client's own resourceVersion, once there is something to go on with.
  Task<bool> hold();
  /// Sends that; false.
  Task<bool> refuse(kube::Status status);
  /// Finds out who asks, as far as that can be told here; else says why not.
  [[nodiscard]] std::optional<kube::Status> identify();
  /// The Table that this client got before, as far as that is known.
  [[nodiscard]] std::optional<TableStart> find_table() const;
  Task<bool> send_head(telemetry::Source source);
  Task<bool> send_snapshot(std::unique_ptr<cache::ListSnapshot> snapshot);
  /// What this principal was shown of what it watches.
  [[nodiscard]] cache::ListAnswer find_list();
  /// True where the cache has an answer for a client that waits for a slow API server.
  [[nodiscard]] bool could_begin();
  [[nodiscard]] std::optional<kube::Status> judge_age(kube::ResourceVersion have) const;
  Task<> wait_for_link();
  /// In order; `why` is for the log (a literal).
  Task<> end(const char* why);

  /// Begins `behind_` the client where that closes a gap in what is remembered.
  void look_back();
  /// What lies between is not to be had any more.
  void give_up_gap();
  void begin_recording();
  [[nodiscard]] http::RequestHead upstream_head() const;
  [[nodiscard]] http::RequestHead list_head() const;

  // Sharing: one upstream stream for all equal watches (hub.h).
  /// What makes another watch equal to this one from here on; empty: it is not shared.
  [[nodiscard]] std::string share_key();
  /// Goes with another one's stream; empty when there is none, or this client may not.
  Task<std::optional<Outcome>> follow_hub();
  /// Whether this client may see what the leader is shown; a verdict is `ttl` old at most.
  Task<request::Access> review(SteadyClock::duration ttl);
  /// The same of one that might before: a no is asked again within `doubt`, for a moment also what
  /// could not be found out. kUnknown at once where the link is down.
  Task<request::Access> review_again();
  /// While its stream serves others, too, this client is reviewed as they are: an API server asks
  /// once, when a watch begins. False: it leads no more, and asks the API server itself.
  Task<bool> may_lead_on();
  /// True once: its stream of its own is one too many.
  [[nodiscard]] bool could_join();
  Task<Outcome> pass_batches(std::shared_ptr<share::Hub> hub,
                             std::unique_ptr<share::HubReader> reader);
  /// What ends this round; empty: it goes on.
  Task<std::optional<Outcome>> take_batch(share::HubBatchPtr batch);
  void lead();
  void publish(std::vector<kube::WatchEvent> events);
  [[nodiscard]] std::function<void(bool)> on_disk();
  [[nodiscard]] bool from_the_start() const;
  /// resourceVersions begin anew: another cluster, or etcd from a backup.
  [[nodiscard]] bool outdated() const { return thread_.services.store.era() != era_; }
  [[nodiscard]] std::optional<std::uint32_t> seconds_left() const;
  [[nodiscard]] SteadyClock::time_point limit() const;
  /// How long a no to what was allowed before is not believed: an API server that just started
  /// refuses what it has not read the roles for. Nothing is shown meanwhile.
  [[nodiscard]] SteadyClock::duration doubt() const;
  [[nodiscard]] bool is_over() const { return SteadyClock::now() >= limit(); }
  void set_state(std::optional<telemetry::WatchState> state);

  request::ThreadContext& thread_;
  std::shared_ptr<request::Request> request_;
  const bool initial_events_;                        // the client asked for a WatchList
  const bool wants_bookmarks_;                       // and is shown them
  bool table_;                                       // rows instead of objects
  const std::uint64_t era_;                          // of the store: what versions mean
  std::optional<SteadyClock::time_point> deadline_;  // timeoutSeconds

  kube::Representation representation_;  // of what is delivered, once the head is sent
  bool guessed_ = false;                 // nothing was known of it: the API server may differ
  kube::ResourceVersion delivered_ = 0;  // resume here; 0: nothing delivered in full
  bool initial_done_;                    // all initial events were delivered
  kube::ResourceVersion behind_ = 0;     // the upstream stream is here, below `delivered_`; 0: not
  bool gap_stays_ = false;
  std::unique_ptr<cache::WatchRecorder> recorder_;
  std::optional<telemetry::WatchState> state_;
  /// Nothing but refusals (403) since: of the watch or its review, and of the list after a 410.
  std::optional<SteadyClock::time_point> forbidden_since_, list_forbidden_since_;
  unsigned failures_ = 0;  // upstream streams that ended without an event, in a row

  std::unique_ptr<share::HubLead> lead_;
  std::string key_;  // share_key, once the form of the answer is settled
  bool looked_for_hub_ = false;
  SteadyClock::time_point reviewed_until_{};
  SteadyClock::time_point leads_until_{};  // without another review
  bool alone_ = false;                     // its client is too slow for others to wait for it

  static constexpr std::chrono::seconds kReviewLimit{2};  // to find out who asks
  static constexpr std::chrono::seconds kDoubt{30};
  static constexpr std::size_t kBatch = 64 * 1024;  // bytes per write of events of our own making
  struct Durable;                                   // counts events on their way to disk
  std::shared_ptr<Durable> durable_;
};

}  // namespace holdfast::watch
