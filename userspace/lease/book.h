#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/task.h"
#include "holdfast/config/rules.h"
#include "holdfast/http/message.h"
#include "holdfast/identity/principal.h"
#include "lease/object.h"

namespace holdfast::lease {

struct LeaseKey {
  std::string ns, name;
  auto operator<=>(const LeaseKey&) const = default;
};

/// How a Lease is steered: lease.policy and its rules, resolved.
struct Terms {
  config::LeasePolicy policy = config::LeasePolicy::kForward;  ///< never kAuto
  std::chrono::milliseconds interval{25'000};                  ///< lease.interval
};

/// A principal; empty: not known.
using Who = std::optional<identity::PrincipalId>;

/// Over which connection a Lease is renewed.
struct Holder {
  std::weak_ptr<const void> connection;  ///< expired: the client is gone
  /// The I/O thread that the connection lives on: what was held is sent from there.
  const void* thread = nullptr;
  http::RequestHead head;  ///< of its last renewal: its credential, its User-Agent
};

/// What is done with a PUT.
struct Verdict {
  enum class Answer : std::uint8_t { kForward, kAcknowledge, kRefuse };
  Answer answer = Answer::kForward;
  /// What the Lease's resourceVersion has to be replaced by: the holder's own renewal went up in
  /// its place meanwhile, so that its next one is based on the one before. 0: leave it.
  kube::ResourceVersion resource_version = 0;
  /// An earlier PUT was sent and never answered: ask for the Lease first (`observed`), then again.
  bool ask_first = false;
  /// What was held is being sent: ask again in a moment.
  bool wait = false;
};

/// A renewal that is sent, or was, while its holder does not wait for it.
struct Delivery {
  LeaseKey key;
  Holder holder;
  kube::Encoding encoding{};
  std::string body;
  RenewTime renewed;
  LeaseObject wanted;      ///< what it makes of the Lease
  bool ask_first = false;  ///< as in Verdict
};

/// What came of one that the API server did not take.
enum class Undelivered : std::uint8_t {
  kUnanswered,  ///< may have been carried out or not
  kRefused,     ///< 404, 409 or another refusal: the holder meets it at its next renewal
  kLater,       ///< nothing was sent, or 429 and 5xx: try again in a moment
  kAsked,       ///< what became of the one before it is known now: it can go
};

/// Whether someone else writes a Lease that is held on this node.
enum class Foreign : std::uint8_t { kNone, kFirst, kAgain };

/// What is known of the Leases that are renewed through this agent, and the rules by which their
/// renewals are acknowledged. Thread-safe; its methods take microseconds.
///
/// There is one writer, the holder: what is sent in its place is its own renewal, under its own
/// credential, and only while it is connected.
class Book {
 public:
  explicit Book(const Clock& clock) : clock_{clock} {}

  /// A full PUT, not a dry run, of `wanted`. Where it says kForward, and neither `ask_first` nor
  /// `wait`, the PUT is under way until `ended`: nothing else is sent of this Lease meanwhile.
  Verdict put(const LeaseKey& key, const LeaseObject& wanted, const Who& principal,
              const Terms& terms, bool online);
  void ended(const LeaseKey& key);
  /// Its client waits no longer, but the answer may still come: `delivered` or `undelivered` ends
  /// it.
  Delivery orphaned(const LeaseKey& key, const LeaseObject& wanted);
  /// `put` said kAcknowledge and the holder was told.
  void acknowledged(const LeaseKey& key, const LeaseObject& wanted, Holder holder,
                    const Terms& terms);
  /// The API server took a create, update or patch by `principal`, and answered with this.
  void written(const LeaseKey& key, LeaseObject real, kube::Encoding encoding, std::string body,
               const Who& principal);
  /// The API server showed the Lease. `shown_to`: who gets to see it; empty: only the agent
  /// asked, for an `ask_first`.
  Foreign observed(const LeaseKey& key, LeaseObject real, kube::Encoding encoding, std::string body,
                   const Who& shown_to);
  /// A PUT at `version` met a 409: where that was the newest version, someone else wrote.
  Foreign conflict(const LeaseKey& key, kube::ResourceVersion version);
  void forget(const LeaseKey& key);
  /// It is another cluster than before.
  void clear();

  /// The Lease as its holder has it, an acknowledged renewal included; empty for everybody else,
  /// and when nothing is known.
  struct View {
    kube::Encoding encoding{};
    std::string body;
    kube::ResourceVersion resource_version = 0;
    std::optional<RenewTime> acknowledged;  ///< later than what the API server has
  };
  [[nodiscard]] std::optional<View> view(const LeaseKey& key, const Who& principal) const;
  /// spec.holderIdentity as last seen, for rules; empty when not known.
  [[nodiscard]] std::string holder(const LeaseKey& key) const;

  /// While the link is up: what is due to be sent from this thread. Drops what may not be sent any
  /// more: too old, or its client gone. Each must be ended by `delivered` or `undelivered`.
  std::vector<Delivery> due(const void* thread);
  void delivered(const Delivery& delivery, LeaseObject real, kube::Encoding encoding,
                 std::string body);
  void undelivered(const Delivery& delivery, Undelivered how);

  /// For `status`: Leases with a foreign writer, by name.
  [[nodiscard]] std::vector<LeaseKey> contested() const;

 private:
  struct Held {
    RenewTime renewed;
    Holder holder;
    Terms terms;
    SteadyClock::time_point at;
  };
  struct Entry {
    Who principal;     ///< whose renewals these are
    LeaseObject real;  ///< as the API server last showed it
    kube::Encoding encoding{};
    std::string body;
    kube::ResourceVersion given = 0;  ///< what the holder has
    /// The state is not what the API server has: only its own answer counts.
    bool stale = false;
    bool sending = false;                  ///< a delivery is under way
    unsigned under_way = 0;                ///< PUTs of the holder that are
    std::optional<LeaseObject> uncertain;  ///< a PUT that was sent and never answered
    std::optional<Held> held;
    SteadyClock::time_point went_up{};  ///< the last renewal that the API server took
    SteadyClock::time_point asked{};    ///< the last renewal by the holder
    SteadyClock::duration period{0};    ///< between its last two; 0: not known yet
    SteadyClock::time_point retry{};
    bool contested = false;
    SteadyClock::time_point used{};
  };
  using Entries = std::map<LeaseKey, Entry>;
  static constexpr std::size_t kMaxLeases = 1024;

  [[nodiscard]] Entry* find(const LeaseKey& key);
  Entry& make(const LeaseKey& key);
  [[nodiscard]] static Foreign note_foreign(Entry& entry);
  [[nodiscard]] static bool is_plain(const Entry& entry, const LeaseObject& wanted,
                                     const Who& principal);
  /// True when `real` is what an unanswered PUT made of the Lease.
  [[nodiscard]] static bool is_ours(const Entry& entry, const LeaseObject& real);
  static void become(Entry& entry, LeaseObject real, kube::Encoding encoding, std::string body);

  const Clock& clock_;
  mutable std::mutex mutex_;
  Entries entries_;
};

}  // namespace holdfast::lease
