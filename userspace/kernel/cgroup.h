#pragma once

#include <string>
#include <string_view>

#include "holdfast/base/result.h"
#include "holdfast/kernel/types.h"

namespace holdfast::kernel {

/// The cgroup2 path in the format of /proc/PID/cgroup ("0::/a/b"); "" when there is none.
std::string cgroup2_path_in(std::string_view proc_cgroup);

/// The id of this process' cgroup; 0 when it cannot be found out, as inside a cgroup namespace
/// whose tree is not mounted.
CgroupId own_cgroup_id();

/// The id of a cgroup's folder.
Result<CgroupId> cgroup_id_of(const std::string& folder);

}  // namespace holdfast::kernel
