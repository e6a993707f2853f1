#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast::identity {

/// The container and pod that a cgroup path names, as kubelet, containerd, CRI-O, Docker and K3s
/// write them (cgroupfs and systemd drivers). Empty fields: not in a pod.
struct CgroupIdentity {
  std::string pod_uid;       ///< with dashes
  std::string container_id;  ///< 64 hex digits
  std::string qos;           ///< "guaranteed", "burstable", "besteffort"
};
CgroupIdentity parse_cgroup_path(std::string_view path);

/// The cgroup2 path in the text of /proc/PID/cgroup ("0::/…"); empty when there is none. On hybrid
/// hosts, where pods live in v1 hierarchies, the first path that names a pod is preferred.
std::string cgroup_path_of(std::string_view proc_cgroup);

struct Process {
  std::uint32_t pid = 0;
  std::string comm;
  std::string executable;  ///< target of /proc/PID/exe: threads rename comm, not this
  std::string cgroup;
  CgroupIdentity container;
};

/// Reads /proc. kNotFound when the process is gone. `proc_root` is a seam for tests.
Result<Process> read_process(std::uint32_t pid, std::string_view proc_root = "/proc");

/// The pods of this node as tokens and pod lists name them: pod UID → namespace and name.
/// Thread-safe, bounded.
struct PodName {
  std::string ns, name;
};
class PodDirectory {
 public:
  static std::unique_ptr<PodDirectory> create(std::size_t capacity = 4096);
  virtual ~PodDirectory() = default;
  virtual void learn(std::string_view uid, PodName name) = 0;
  [[nodiscard]] virtual std::optional<PodName> find(std::string_view uid) const = 0;
};

}  // namespace holdfast::identity
