#include "holdfast/identity/process.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace holdfast::identity {
namespace {

constexpr std::size_t kMaxProcFile = 64 * 1024;

std::optional<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in) return std::nullopt;
  std::string text;
  std::array<char, 4096> block;
  while (text.size() < kMaxProcFile && in.read(block.data(), block.size()).gcount() > 0) {
    text.append(block.data(), static_cast<std::size_t>(in.gcount()));
  }
  // /proc files open for a process that is gone by the time they are read (ESRCH).
  if (in.bad()) return std::nullopt;
  return text;
}

// A replaced binary keeps running; rules still mean the path it was started from.
std::string executable_of(const std::filesystem::path& process) {
  std::error_code error;
  auto target = std::filesystem::read_symlink(process / "exe", error).string();
  constexpr std::string_view kDeleted = " (deleted)";
  if (target.ends_with(kDeleted)) target.resize(target.size() - kDeleted.size());
  return target;
}

}  // namespace

Result<Process> read_process(std::uint32_t pid, std::string_view proc_root) {
  const auto directory = std::filesystem::path{proc_root} / std::to_string(pid);
  auto comm = read_file(directory / "comm");
  const auto cgroup = read_file(directory / "cgroup");
  if (!comm || !cgroup) {
    return make_error(Errc::kNotFound, "process " + std::to_string(pid) + " is gone");
  }
  if (comm->ends_with('\n')) comm->pop_back();

  Process process{.pid = pid, .comm = std::move(*comm), .executable = executable_of(directory)};
  process.cgroup = cgroup_path_of(*cgroup);
  process.container = parse_cgroup_path(process.cgroup);
  return process;
}

}  // namespace holdfast::identity
