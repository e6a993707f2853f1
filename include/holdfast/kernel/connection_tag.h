#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "holdfast/base/endpoint.h"
#include "holdfast/kernel/types.h"

namespace holdfast::kernel {

/// Who opened a connection, as the connect hook saw it. It attributes; it never authorizes.
struct ConnectionTag {
  ConnectionId connection{};
  NetnsCookie netns_cookie{};
  CgroupId cgroup_id{};
  Endpoint original;  ///< what the client dialled
  pid_t pid = 0;      ///< the process (tgid), in the initial pid namespace
  uid_t uid = 0;      ///< in the initial user namespace
  /// The calling *thread's* name, at most 15 bytes, which any program can set: not for rules.
  std::string comm;
  Action action = Action::kRedirect;  ///< kRedirect or kSplice
  std::chrono::steady_clock::time_point connected_at;
};

}  // namespace holdfast::kernel
