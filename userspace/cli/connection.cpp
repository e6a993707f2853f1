#include "cli/commands.h"
#include "holdfast/config/config.h"

namespace holdfast::cli {

Result<std::string> socket_of(const Target& target) {
  if (!target.admin_socket.empty()) return target.admin_socket;
  const auto config = config::load_file(target.config_path);
  if (config) return config->admin.socket;
  if (target.config_given) return config.error();
  return config::defaults(config::Environment::of_process()).admin.socket;
}

}  // namespace holdfast::cli
