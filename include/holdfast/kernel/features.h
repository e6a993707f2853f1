#pragma once

#include <string>
#include <vector>

#include "holdfast/base/result.h"

namespace holdfast::kernel {

/// One thing that interception needs or would use.
struct Feature {
  std::string name;
  bool available = false;
  bool required = false;
  std::string advice;  ///< what it is for, and what to do when it is missing
};

/// What this kernel and these privileges allow. Never fails: what cannot be found out is missing.
std::vector<Feature> probe_features();

/// Where cgroup2 is mounted: /sys/fs/cgroup, or /sys/fs/cgroup/unified on hybrid hosts.
Result<std::string> find_cgroup2_root();

/// The same for a given text in the format of /proc/self/mounts.
Result<std::string> find_cgroup2_root_in(const std::string& mounts);

}  // namespace holdfast::kernel
