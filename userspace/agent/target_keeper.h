#pragma once

#include <set>
#include <vector>

#include "agent/serving_state.h"
#include "holdfast/base/endpoint.h"
#include "holdfast/base/event.h"
#include "holdfast/kernel/interceptor.h"
#include "holdfast/tls/terminator.h"

namespace holdfast::agent {

/// Keeps the kernel's target map: an address is redirected only while a certificate that its
/// clients accept can be served for it. Looks at each real server's certificate now, then hourly.
/// On the control thread.
class TargetKeeper {
 public:
  TargetKeeper(tls::Terminator& terminator, kernel::Interceptor* interceptor,
               std::vector<Endpoint> candidates, ServingState& serving);

  Task<> run(Executor executor);
  /// Other addresses than before: those that went away are direct at once.
  void replace(std::vector<Endpoint> candidates);
  /// The link is back, or a CA file changed: look again soon.
  void recheck() { recheck_ = true; }
  [[nodiscard]] bool any_ready() const { return !terminator_.ready_targets().empty(); }

  /// Those that are redirected now.
  [[nodiscard]] const std::vector<Endpoint>& published() const { return published_; }

 private:
  Task<> look_at(Executor executor, Endpoint target);
  void publish();

  tls::Terminator& terminator_;
  kernel::Interceptor* const interceptor_;
  std::vector<Endpoint> candidates_;
  ServingState& serving_;
  std::vector<Endpoint> published_;
  std::set<std::string> told_;  ///< problems that were logged
  bool recheck_ = false;
};

}  // namespace holdfast::agent
