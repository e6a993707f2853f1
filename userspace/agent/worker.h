#pragma once

#include <memory>

#include "holdfast/agent/agent.h"
#include "holdfast/config/config.h"
#include "holdfast/watchdog/watchdog.h"

namespace holdfast::agent {

/// The process that serves: builds the agent from its parts, runs the control thread, and takes it
/// down in order. The parent process only watches its pulse.
class Worker {
 public:
  /// Everything that can fail at start-up; the error is a sentence for the log.
  static Result<std::unique_ptr<Worker>> create(const AgentOptions& options,
                                                std::shared_ptr<const config::Config> config);
  virtual ~Worker() = default;

  /// Until SIGTERM or SIGINT.
  virtual int run(watchdog::Pulse& pulse) = 0;
};

}  // namespace holdfast::agent
