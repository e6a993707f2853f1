#include "agent/process_sockets.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>

#include "kernel/cgroup.h"

namespace holdfast::agent {
namespace {

namespace fs = std::filesystem;

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// N out of "net:[N]" or "socket:[N]".
template <class Number>
std::optional<Number> number_of_link(const fs::path& link, std::string_view kind) {
  std::error_code ec;
  const auto target = fs::read_symlink(link, ec).string();
  const std::string_view text{target};
  if (ec || !text.starts_with(kind) || !text.ends_with(']')) return std::nullopt;
  if (text.substr(kind.size(), 2) != ":[") return std::nullopt;
  return number_in<Number>(text.substr(kind.size() + 2, text.size() - kind.size() - 3));
}

std::string cgroup_of(const fs::path& process) {
  std::ifstream file{process / "cgroup"};
  std::ostringstream text;
  text << file.rdbuf();
  return kernel::cgroup2_path_in(text.str());
}

}  // namespace

bool is_below(std::string_view cgroup, std::string_view root) {
  while (root.ends_with('/')) root.remove_suffix(1);
  if (!cgroup.starts_with(root)) return false;
  return cgroup.size() == root.size() || cgroup[root.size()] == '/';
}

NetnsProcesses processes_by_netns(const std::function<bool(std::string_view cgroup)>& wanted,
                                  const std::string& proc_root) {
  NetnsProcesses out;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator{proc_root, ec}) {
    const auto pid = number_in<pid_t>(entry.path().filename().string());
    if (!pid) continue;
    const auto netns = number_of_link<std::uint64_t>(entry.path() / "ns" / "net", "net");
    if (netns && wanted(cgroup_of(entry.path()))) out[*netns].push_back(*pid);
  }
  return out;
}

std::map<std::uint32_t, pid_t> owners_of(const std::set<std::uint32_t>& inodes,
                                         const std::vector<pid_t>& processes,
                                         const std::string& proc_root) {
  std::map<std::uint32_t, pid_t> out;
  for (const auto pid : processes) {
    if (out.size() == inodes.size()) break;
    std::error_code ec;
    const auto folder = fs::path{proc_root} / std::to_string(pid) / "fd";
    for (fs::directory_iterator it{folder, ec}, end; !ec && it != end; it.increment(ec)) {
      const auto inode = number_of_link<std::uint32_t>(it->path(), "socket");
      if (inode && inodes.contains(*inode)) out.emplace(*inode, pid);
    }
  }
  return out;
}

}  // namespace holdfast::agent
