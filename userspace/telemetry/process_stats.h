#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast::telemetry {

/// What Prometheus' own client libraries show of a process.
struct ProcessStats {
  double cpu_seconds = 0;
  double start_time_seconds = 0;  ///< Unix time
  std::uint64_t resident_bytes = 0, virtual_bytes = 0, threads = 0, open_fds = 0, max_fds = 0;
};
std::optional<ProcessStats> read_process_stats();

/// The parts of /proc/self/stat (proc(5)), the command's name skipped whatever it holds.
struct StatLine {
  std::uint64_t utime_ticks = 0, stime_ticks = 0, threads = 0, start_ticks = 0;
  std::uint64_t virtual_bytes = 0, resident_pages = 0;
};
std::optional<StatLine> parse_stat_line(std::string_view text);

}  // namespace holdfast::telemetry
