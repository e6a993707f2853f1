#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/telemetry/labels.h"

namespace holdfast::admin {

/// Whether the agent serves. It stays ready while the cloud is away.
struct Readiness {
  bool ready = false;
  std::vector<std::string> reasons;  ///< why not; a sentence each
};

/// The agent at one moment, for people and scripts.
struct Status {
  using Time = std::chrono::system_clock::time_point;

  struct Server {
    std::string address;  ///< "198.18.0.1:443"
    bool healthy = false;
    std::optional<std::chrono::microseconds> rtt;
  };
  struct Link {
    telemetry::LinkState state = telemetry::LinkState::kOffline;
    std::optional<Time> since;        ///< of this state
    std::optional<Time> last_online;  ///< while online: now
    std::vector<Server> servers;
  };
  struct Intercept {
    bool enabled = false;
    std::string off_reason;            ///< why it is off although enabled; empty: it is not
    bool attached = false;             ///< the hooks are in the kernel
    std::vector<std::string> targets;  ///< addresses that are redirected
    std::string certificate;           ///< how the requested one is doing; empty: none is requested
    std::vector<std::string> listen;
    std::uint64_t circuits_open = 0;
    std::uint64_t flow_events_lost = 0;
    std::optional<std::chrono::milliseconds> heartbeat_age;  ///< none: no heart beats
  };
  /// A client whose connections are passed on untouched for now.
  struct Spliced {
    std::string executable, workload, target, reason;
    std::string certificate;  ///< fingerprint of a certificate whose key is not on this node
    Time until;               ///< then it is tried again
  };
  /// A pod that the cloud deletes when this node has been unreachable for too long.
  struct Eviction {
    std::string ns, pod;
    std::chrono::seconds after{};  ///< counted from when the node counts as unreachable
  };
  struct Connections {
    std::array<std::int64_t, telemetry::kVerdicts> open{};
    std::array<std::uint64_t, telemetry::kVerdicts> total{};
  };
  struct Cache {
    std::uint64_t bytes = 0, budget_bytes = 0, objects = 0, collections = 0, evictions = 0;
    std::uint64_t write_queue_bytes = 0;
    std::array<std::uint64_t, telemetry::kCacheResults> reads{};
    std::uint64_t write_errors = 0;
    std::string problem;  ///< why it is in memory only; empty: it is on disk
    std::string key;      ///< where its key lies: tpm, file, command, off, memory
  };

  std::string version, commit, node;
  std::string distribution, role, distribution_reason;  ///< "k3s", "agent", and what told
  Time now, started;
  Readiness readiness;
  Link link;
  Intercept intercept;
  Connections connections;
  std::vector<Spliced> spliced;
  std::array<std::uint64_t, telemetry::kSources> requests{};
  Cache cache;
  std::optional<std::vector<Eviction>> evictions;  ///< none: not known
  std::string config_path;
  std::string config_error;                 ///< of the last reload; empty: in force as written
  std::vector<std::string> restart_needed;  ///< keys that wait for the next start
};

/// What /v1/status answers (docs/cli.md lists the keys), and the reverse.
std::string to_json(const Status& status);
Result<Status> parse_status(std::string_view json);
/// What `holdfast status` prints: a readable text of several lines.
std::string to_text(const Status& status);
/// What `/` shows: a page without scripts or outside assets. It names no pods: unlike the socket,
/// everyone on the node can read it.
std::string to_html(const Status& status);

}  // namespace holdfast::admin
