#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/admission_control.h"
#include "agent/adoption.h"
#include "agent/process_sockets.h"
#include "holdfast/config/config.h"
#include "holdfast/kernel/interceptor.h"
#include "holdfast/tls/terminator.h"

namespace holdfast::agent {

/// Carries out `intercept.adopt`: resets connections to API servers that were open before the agent
/// started, as Adoption says when. On a thread of its own, since it reads /proc and enters network
/// namespaces; the thread ends when all is done.
class Adopter {
 public:
  struct Parts {
    kernel::Interceptor& interceptor;
    AdmissionControl& admission;
    const tls::Terminator& terminator;
    const identity::PodDirectory& pods;
    std::string cgroup;  ///< intercept.cgroup: what runs outside of it is not ours to reset
    std::string marker;  ///< file below /run
    std::vector<config::InterceptRule> rules;
  };
  /// Null when this boot's connections were adopted before.
  static std::unique_ptr<Adopter> create(Parts parts);
  ~Adopter();
  Adopter(const Adopter&) = delete;
  Adopter& operator=(const Adopter&) = delete;

  /// How things stand; once a second.
  void tick(Adoption::Conditions conditions, const std::vector<Endpoint>& targets);

 private:
  /// One network namespace with connections to a target.
  struct Visited {
    kernel::SocketTable table;
    std::vector<pid_t> processes;
    std::vector<kernel::TcpSocket> sockets;
    kernel::NetnsVerdict verdict = kernel::NetnsVerdict::kUnknown;
    kernel::NetnsCookie cookie{};
  };
  using Survey = std::map<std::size_t, Visited>;

  Adopter(Parts parts, std::string boot_id);
  void work();
  void reset_hanging(const std::vector<Endpoint>& targets);
  /// False: not all namespaces are judged yet.
  bool list(const std::vector<Endpoint>& targets);
  void reset_due();
  [[nodiscard]] Survey survey(const std::vector<Endpoint>& targets) const;
  /// Those of them that are worth it. `admitted_only`: in namespaces that were admitted.
  [[nodiscard]] std::vector<Adoptable> choose(const Survey& survey, bool connecting,
                                              bool admitted_only) const;
  void reset(kernel::SocketTable& table, const Adoptable& connection) const;
  [[nodiscard]] bool wait(std::chrono::milliseconds time);

  const Parts parts_;
  const std::string boot_id_;
  std::string cgroup_root_;  ///< of Parts::cgroup, as in /proc/PID/cgroup

  Adoption adoption_;
  Survey tables_;  ///< of what is being reset
  int looks_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  Adoption::Conditions conditions_;
  std::vector<Endpoint> targets_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace holdfast::agent
