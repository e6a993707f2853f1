#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/identity/process.h"
#include "holdfast/kernel/socket_table.h"

namespace holdfast::agent {

/// A connection to an API server that was there before this agent, and whose it is.
struct Adoptable {
  kernel::TcpSocket socket;
  std::size_t netns = 0;  ///< whose table it is in; a number of the caller's
  pid_t pid = 0;
  identity::Process process;
};

/// What is known of a socket when it is asked whether to reset it.
struct AdoptionFacts {
  bool own = false;         ///< the agent's
  bool owner_known = true;  ///< its process was found
  bool intercepted = true;  ///< its next connect() would come through our hooks
  bool netns_admitted = true;
  bool circuit_open = false;  ///< its next connect() would go direct
  bool spliced = false;       ///< its next connection would be passed on untouched
  bool bypassed = false;      ///< by a rule
  bool balancer = false;      ///< carries what others dialled, and may come to us that way already
};
/// Only what will come back through the agent, to be served by it, is worth a reset.
[[nodiscard]] bool worth_a_reset(const AdoptionFacts& facts);

/// A process that runs the kubelet: its executable is one of those that distributions have.
[[nodiscard]] bool is_kubelet(std::string_view executable);

/// A connection of K3s' or RKE2's own balancer to a server: what its components dial is
/// 127.0.0.1:6444.
[[nodiscard]] bool balances(std::string_view executable, const Endpoint& remote);

/// When connections that were open before the agent are reset, so that they come back through it.
/// Once per boot; not before the agent served for a while and the link is up; spread over time;
/// kubelet last. Pure: time and conditions come in as arguments. One thread.
class Adoption {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kSettle{3};   ///< of serving, before anything is reset
  static constexpr std::chrono::seconds kSpread{30};  ///< from the first to the last reset

  struct Conditions {
    bool serving = false;  ///< the heart beats: self-tested, with a certificate
    bool online = false;
  };
  enum class Step : std::uint8_t {
    kWait,
    kResetHanging,  ///< once, whatever the link: what waits for an answer to its SYN
    kList,          ///< until `begin`: find what is connected
    kReset,         ///< `due` has some
    kDone,          ///< nothing more in this boot
  };

  Step step(Conditions conditions, Time now);
  /// The answer to kList. Keeps the order, but for kubelets.
  void begin(std::vector<Adoptable> found);
  /// Those whose time has come, once each.
  std::vector<Adoptable> due();
  [[nodiscard]] std::size_t left() const { return plan_.size(); }

 private:
  struct Planned {
    std::chrono::steady_clock::duration after;
    Adoptable connection;
  };
  Time since_{};  ///< serving, without a break
  bool serving_ = false, hanging_done_ = false, begun_ = false;
  std::deque<Planned> plan_;
  std::chrono::steady_clock::duration elapsed_{};  ///< of the spread, while it could go on
  Time last_{};
};

/// Whether this boot's connections were adopted already, as a file below /run says, which holds the
/// boot's id: not every /run is emptied.
[[nodiscard]] bool adopted_in_boot(const std::string& marker, const std::string& boot_id);
/// Must have worked before the first reset, or each start would reset again.
Result<> mark_adopted(const std::string& marker, const std::string& boot_id);
/// The id of this boot; empty when it can't be read.
std::string current_boot_id();

}  // namespace holdfast::agent
