#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "holdfast/identity/process.h"
#include "holdfast/kernel/types.h"

namespace holdfast::agent {

/// The connections that are open as far as flow events tell, and whose they are: the process is
/// read at connect, since it may be gone later. An event may get lost, and a connect that fails in
/// routing has no end at all, so nothing here is trusted for ever. Pure but for `alive`. One
/// thread.
class OpenFlows {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kMost = 16384;
  /// Longer than any handshake takes: tcp_syn_retries of 6 gives up after 127 s.
  static constexpr std::chrono::minutes kHandshake{3};
  static constexpr std::chrono::minutes kPrune{1};

  /// `alive`: whether a process still exists.
  explicit OpenFlows(std::function<bool(pid_t)> alive) : alive_{std::move(alive)} {}

  /// `direct`: it goes to the API server itself.
  void connecting(kernel::ConnectionId id, pid_t pid, bool direct,
                  std::optional<identity::Process> process, Time now);
  void established(kernel::ConnectionId id);
  void closed(kernel::ConnectionId id);
  /// Once in a while: forgets those that can't be open any more.
  void tick(Time now);

  /// Null when it is not known. Valid until the next call.
  [[nodiscard]] const identity::Process* find(kernel::ConnectionId id) const;
  /// Those that are established and direct.
  [[nodiscard]] std::int64_t direct() const { return direct_; }
  [[nodiscard]] std::size_t size() const { return flows_.size(); }

 private:
  struct Flow {
    pid_t pid = 0;
    bool direct = false;
    bool established = false;
    std::optional<identity::Process> process;
    Time since;
  };
  using Flows = std::map<kernel::ConnectionId, Flow>;
  Flows::iterator erase(Flows::iterator it);

  const std::function<bool(pid_t)> alive_;
  Flows flows_;
  std::int64_t direct_ = 0;
  Time pruned_{};
};

}  // namespace holdfast::agent
