#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "holdfast/admin/cache_query.h"
#include "holdfast/base/result.h"
#include "holdfast/telemetry/trace_event.h"

namespace holdfast::cli {

enum class Format : std::uint8_t { kTable, kJson };

/// Options that all commands which ask the agent share.
struct Target {
  std::string config_path = "/etc/holdfast/config.yaml";
  bool config_given = false;
  std::string admin_socket;  ///< empty: what the configuration says
};

/// The socket to ask: --admin-socket, else admin.socket of the configuration, else its default (a
/// configuration that is absent or unreadable matters only when it was named).
Result<std::string> socket_of(const Target& target);

int status(const Target& target, Format format, std::ostream& out, std::ostream& err);

struct TraceOptions {
  telemetry::TraceFilter filter;
  std::uint64_t count = 0;  ///< events to show; 0: until interrupted
};
int trace(const Target& target, const TraceOptions& options, Format format, std::ostream& out,
          std::ostream& err);

int cache(const Target& target, const admin::CacheQuery& query, Format format, std::ostream& out,
          std::ostream& err);

int version(Format format, std::ostream& out);

}  // namespace holdfast::cli
