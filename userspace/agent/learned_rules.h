#pragma once

#include <sys/types.h>

#include <mutex>
#include <set>

#include "holdfast/kernel/interceptor.h"

namespace holdfast::agent {

/// The kernel knows no pods and no executables: what `intercept.rules` bypasses is learned with a
/// process's first connection, which is spliced, and told to the kernel for those that follow.
/// Thread-safe.
class LearnedRules {
 public:
  explicit LearnedRules(kernel::Interceptor* interceptor) : interceptor_{interceptor} {}

  /// This process is to be left direct from now on.
  void bypass(pid_t pid);
  /// Forgets processes that ended: a pid is used again. Once a minute.
  void prune();
  /// The rules changed: everything is learned anew.
  void clear();

 private:
  static constexpr std::size_t kMaxProcesses = 512;
  void publish();

  kernel::Interceptor* const interceptor_;
  std::mutex mutex_;
  std::set<pid_t> processes_;
};

}  // namespace holdfast::agent
