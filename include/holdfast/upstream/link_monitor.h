#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "holdfast/base/clock.h"
#include "holdfast/base/task.h"

namespace holdfast::upstream {

/// Whether the API server can be reached. Leases are no source of this: what is read here are
/// bytes from the servers, failed connects, PINGs and /readyz.
enum class Link : std::uint8_t {
  kSuspect,  ///< unknown (at the start), or silent: the next seconds decide
  kOnline,
  kOffline,
};
const char* to_string(Link link);

enum class ConnectFailure : std::uint8_t {
  kRefused,  ///< RST to our SYN, or no route: the answer came at once
  kTimeout,
  kReset,  ///< a connection that was established ended by RST, or by a failed handshake
};

/// Why the last transition happened; each has a counter's label and a log line.
enum class LinkCause : std::uint8_t {
  kStart,
  kProgress,    ///< bytes from a server
  kProbe,       ///< /readyz was answered, whatever the status
  kConnect,     ///< every server failed to connect
  kPing,        ///< PINGs to every server failed
  kPatience,    ///< a read waited too long
  kAllRefused,  ///< every server refused
  kSilence,     ///< suspect for `offline_after` without a byte
};
const char* to_string(LinkCause cause);

struct LinkSnapshot {
  Link state = Link::kSuspect;
  LinkCause cause = LinkCause::kStart;
  std::uint64_t transitions = 0;
  /// Grows at each transition to online: what was learned under an older one may be outdated.
  std::uint64_t generation = 0;
  /// The last moment at which the link was known to be up; empty: never since it was first used.
  std::optional<std::chrono::system_clock::time_point> last_online;
  std::chrono::nanoseconds srtt{0};  ///< smoothed round trip of PINGs; 0: not measured yet
};

struct LinkTransition {
  Link from = Link::kSuspect, to = Link::kSuspect;
  LinkCause cause = LinkCause::kStart;
  std::uint64_t generation = 0;
};

/// What all threads together know of one server.
struct ServerHealth {
  /// A connect or a PING failed since it was last heard of, or it said that it is not ready.
  bool failing = false;
  std::chrono::nanoseconds srtt{0};  ///< of PINGs; 0: not measured yet
};

struct LinkOptions {
  std::size_t servers = 1;
  std::chrono::milliseconds offline_after{3000};  ///< suspect without a byte for so long: offline
  /// As kept from the previous run, for the sentence "the link was last up at …".
  std::optional<std::chrono::system_clock::time_point> last_online;
};

/// The link state that all threads share. Inputs and outputs may be used from any thread;
/// `state()` is one atomic load.
class LinkMonitor {
 public:
  using Subscriber = std::function<void(LinkTransition)>;

  static std::shared_ptr<LinkMonitor> create(LinkOptions options, const Clock& clock);
  virtual ~LinkMonitor() = default;

  /// Bytes came from this server over its verified connection: the link is up. `at` is when; what
  /// is older than the present state changes nothing.
  virtual void progress(std::size_t server, SteadyClock::time_point at) = 0;
  /// As above, now.
  virtual void progress(std::size_t server) = 0;
  virtual void connect_failed(std::size_t server, ConnectFailure failure) = 0;
  virtual void ping_ok(std::size_t server, std::chrono::nanoseconds round_trip) = 0;
  virtual void ping_failed(std::size_t server) = 0;
  /// GET /readyz was answered with any HTTP status (401 and 403 count).
  virtual void probe_ok(std::size_t server) = 0;
  /// A cacheable read saw no upstream progress within its patience: online becomes suspect.
  virtual void patience_expired() = 0;
  /// The same for a read that one server does not answer: the link is suspected only if no other
  /// server was heard of lately.
  virtual void late(std::size_t server) = 0;
  /// What /readyz of a server said: one that shuts down answers, but should not be asked.
  virtual void told_ready(std::size_t server, bool ready) = 0;
  /// Lets time pass: suspect becomes offline. Called a few times a second by a pool.
  virtual void tick() = 0;
  /// The list of servers was replaced (configuration, discovery): per-server failures are
  /// forgotten.
  virtual void set_servers(std::size_t count) = 0;

  [[nodiscard]] virtual Link state() const = 0;
  /// Without a lock; `server` is its number, as in the inputs.
  [[nodiscard]] virtual ServerHealth health(std::size_t server) const = 0;
  [[nodiscard]] virtual LinkSnapshot snapshot() const = 0;
  /// Each transition is posted to `executor`, in order. Dropping the handle ends it; a call that
  /// was already posted is then skipped.
  [[nodiscard]] virtual std::shared_ptr<void> subscribe(Executor executor,
                                                        Subscriber subscriber) = 0;
};

}  // namespace holdfast::upstream
