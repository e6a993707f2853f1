#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/commands.h"
#include "holdfast/admin/client.h"
#include "holdfast/admin/trace_query.h"
#include "holdfast/cli/cli.h"

namespace holdfast::cli {
namespace {

/// The count of a {"kind":"lost"} line; 0 for any other.
std::uint64_t lost_count(std::string_view line) {
  if (!line.starts_with(R"({"kind":"lost")")) return 0;
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return 0;
  return json.value("count", std::uint64_t{0});
}

}  // namespace

int trace(const Target& target, const TraceOptions& options, Format format, std::ostream& out,
          std::ostream& err) {
  const auto socket = socket_of(target);
  if (!socket) {
    err << socket.error().to_string() << "\n";
    return kUsage;
  }
  std::uint64_t shown = 0;
  bool heading = format == Format::kTable;
  const auto on_line = [&](std::string_view line) {
    if (const auto lost = lost_count(line)) {
      // Not an event, and not to be missed: told apart from the events in either format.
      err << "holdfast trace: " << lost << " events were lost; a filter makes the stream smaller\n";
      return true;
    }
    if (format == Format::kJson) {
      out << line << "\n" << std::flush;
    } else if (const auto event = telemetry::parse_trace_event(line)) {
      if (heading) out << telemetry::trace_heading() << "\n";
      heading = false;
      out << telemetry::to_line(*event) << "\n" << std::flush;
    }
    ++shown;
    // A closed pipe, as behind `head`, ends it, too.
    return out.good() && (options.count == 0 || shown < options.count);
  };
  // It may be silent for a long time: say that it listens.
  const auto on_open = [&err] {
    err << "holdfast trace: following; Ctrl-C ends it\n" << std::flush;
  };
  const auto followed = admin::follow(*socket, admin::to_target(options.filter), on_line, on_open);
  if (!followed) {
    err << "holdfast trace: " << followed.error().to_string() << "\n";
    return kUnhealthy;
  }
  const bool we_ended_it = !out.good() || (options.count != 0 && shown >= options.count);
  if (!we_ended_it) {
    err << "holdfast trace: the agent ended the stream\n";
    return kUnhealthy;
  }
  return kHealthy;
}

}  // namespace holdfast::cli
