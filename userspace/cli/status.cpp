#include "holdfast/admin/status.h"

#include <ostream>

#include "cli/commands.h"
#include "holdfast/admin/client.h"
#include "holdfast/cli/cli.h"

namespace holdfast::cli {

int status(const Target& target, Format format, std::ostream& out, std::ostream& err) {
  const auto socket = socket_of(target);
  if (!socket) {
    err << socket.error().to_string() << "\n";
    return kUsage;
  }
  const auto reply = admin::get(*socket, "/v1/status");
  if (!reply) {
    err << "holdfast status: " << reply.error().to_string() << "\n";
    return kUnhealthy;
  }
  const auto status = admin::parse_status(reply->body);
  if (reply->code != 200 || !status) {
    err << "holdfast status: the agent's answer is not understood; is it another version?\n";
    return kUnhealthy;
  }
  out << (format == Format::kJson ? reply->body : admin::to_text(*status)) << std::flush;
  return status->readiness.ready ? kHealthy : kUnhealthy;
}

}  // namespace holdfast::cli
