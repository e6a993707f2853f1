#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::agent {

/// A network namespace (its number under /proc/PID/ns) and processes that are in it.
using NetnsProcesses = std::map<std::uint64_t, std::vector<pid_t>>;

/// The processes whose cgroup2 path (as in "0::/a/b") `wanted` takes, by network namespace. Those
/// that end meanwhile are left out. `proc_root` is a seam for tests, here and below.
NetnsProcesses processes_by_netns(const std::function<bool(std::string_view cgroup)>& wanted,
                                  const std::string& proc_root = "/proc");

/// Which of these processes has which of these sockets: inode → pid. A socket that several share
/// (fork) is the first one's.
std::map<std::uint32_t, pid_t> owners_of(const std::set<std::uint32_t>& inodes,
                                         const std::vector<pid_t>& processes,
                                         const std::string& proc_root = "/proc");

/// True when `cgroup` is `root` or below it; both as in "0::/a/b".
bool is_below(std::string_view cgroup, std::string_view root);

}  // namespace holdfast::agent
