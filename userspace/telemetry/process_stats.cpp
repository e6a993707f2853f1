#include "telemetry/process_stats.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace holdfast::telemetry {
namespace {

std::string slurp(const char* path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

double boot_time_seconds() {
  std::istringstream lines{slurp("/proc/stat")};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("btime ")) return std::strtod(line.c_str() + 6, nullptr);
  }
  return 0;
}

std::uint64_t count_fds() {
  std::error_code ec;
  std::filesystem::directory_iterator it{"/proc/self/fd", ec};
  std::uint64_t count = 0;
  for (; !ec && it != std::filesystem::directory_iterator{}; it.increment(ec)) ++count;
  return count > 0 ? count - 1 : 0;  // without the one that looks
}

}  // namespace

std::optional<StatLine> parse_stat_line(std::string_view text) {
  const auto close = text.rfind(')');
  if (close == std::string_view::npos) return std::nullopt;
  std::istringstream rest{std::string{text.substr(close + 1)}};
  std::array<std::string, 22> fields;  // fields 3 (state) to 24 (rss)
  for (auto& field : fields) {
    if (!(rest >> field)) return std::nullopt;
  }
  const auto number = [&](std::size_t field) {
    return std::strtoull(fields[field - 3].c_str(), nullptr, 10);
  };
  return StatLine{.utime_ticks = number(14),
                  .stime_ticks = number(15),
                  .threads = number(20),
                  .start_ticks = number(22),
                  .virtual_bytes = number(23),
                  .resident_pages = number(24)};
}

std::optional<ProcessStats> read_process_stats() {
  const auto stat = parse_stat_line(slurp("/proc/self/stat"));
  if (!stat) return std::nullopt;
  const auto ticks = static_cast<double>(std::max(1L, sysconf(_SC_CLK_TCK)));
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  return ProcessStats{
      .cpu_seconds = static_cast<double>(stat->utime_ticks + stat->stime_ticks) / ticks,
      .start_time_seconds = boot_time_seconds() + static_cast<double>(stat->start_ticks) / ticks,
      .resident_bytes = stat->resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)),
      .virtual_bytes = stat->virtual_bytes,
      .threads = stat->threads,
      .open_fds = count_fds(),
      .max_fds = files.rlim_cur};
}

}  // namespace holdfast::telemetry
