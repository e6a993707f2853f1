#pragma once

#include <string>

namespace holdfast::agent {

/// What the command line says; everything else is in the configuration file.
struct AgentOptions {
  std::string config_path = "/etc/holdfast/config.yaml";
  bool config_given = false;  ///< named by the user: its absence is an error, not "all defaults"
  std::string admin_socket;   ///< overrides admin.socket when not empty
};

/// Runs until SIGTERM or SIGINT. Returns the process's exit status: 0 after an orderly stop, 1 when
/// it could not start or failed, 2 when the configuration is invalid.
int run(const AgentOptions& options);

}  // namespace holdfast::agent
