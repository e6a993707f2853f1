#pragma once

#include <functional>
#include <iosfwd>
#include <string>

#include "holdfast/agent/agent.h"
#include "holdfast/approver/approver.h"

namespace holdfast::cli {

/// What scripts can rely on.
enum ExitCode : int {
  kHealthy = 0,    ///< done; for `status`: the agent serves
  kUnhealthy = 1,  ///< it failed; for `status`: the agent does not serve, or none answers
  kUsage = 2,      ///< the command line or the configuration is wrong
};

/// The seams of the command line.
struct Environment {
  std::ostream& out;
  std::ostream& err;
  /// `holdfast agent`.
  std::function<int(const agent::AgentOptions&)> run_agent;
  /// `holdfast approver`.
  std::function<int(const approver::ApproverOptions&)> run_approver;
};

/// The whole program. Never throws; returns an ExitCode.
int run(int argc, const char* const* argv, Environment environment);

}  // namespace holdfast::cli
