#include "agent/learned_rules.h"

#include <signal.h>

#include <cerrno>
#include <vector>

#include "holdfast/telemetry/log.h"

namespace holdfast::agent {

void LearnedRules::bypass(pid_t pid) {
  const std::scoped_lock lock{mutex_};
  // One more would only be spliced each time.
  if (processes_.size() >= kMaxProcesses || !processes_.insert(pid).second) return;
  publish();
}

void LearnedRules::prune() {
  const std::scoped_lock lock{mutex_};
  const auto gone =
      std::erase_if(processes_, [](pid_t pid) { return kill(pid, 0) != 0 && errno == ESRCH; });
  if (gone > 0) publish();
}

void LearnedRules::clear() {
  const std::scoped_lock lock{mutex_};
  if (processes_.empty()) return;
  processes_.clear();
  publish();
}

void LearnedRules::publish() {
  if (!interceptor_) return;
  std::vector<kernel::ProcessRule> rules;
  for (const auto pid : processes_) {
    rules.push_back({.pid = pid, .action = kernel::Action::kBypass});
  }
  if (auto set = interceptor_->set_rules({}, rules); !set) {
    telemetry::log(spdlog::level::err, "the kernel did not take the rules",
                   {{"error", set.error().to_string()}});
  }
}

}  // namespace holdfast::agent
