#pragma once

#include <chrono>
#include <functional>

#include "holdfast/base/result.h"

namespace holdfast::watchdog {

struct Options {
  std::chrono::milliseconds silence_limit{2000};   ///< between two beats
  std::chrono::milliseconds startup_limit{30000};  ///< until the first beat
  std::chrono::milliseconds stop_limit{30000};     ///< from SIGTERM or SIGINT to the exit
  std::chrono::milliseconds first_backoff{250};    ///< before a restart; doubles
  std::chrono::milliseconds longest_backoff{30000};
  std::chrono::milliseconds healthy_after{60000};  ///< a worker that lived this long starts afresh
};

/// The worker's end: says that it is alive. Async-signal-safe, any thread.
class Pulse {
 public:
  explicit Pulse(void* shared) : shared_{shared} {}
  void beat() noexcept;

 private:
  void* shared_;
};

/// Forks and runs `worker` in the child; returns in the parent only, with the exit code to end
/// with. The parent kills (SIGKILL) a worker that is silent for too long, so that the sockets it
/// holds are reset, and starts another. It passes SIGTERM, SIGINT and SIGHUP on, restarts a worker
/// that died by a signal nobody sent through it, and returns the code of one that exited by itself
/// (128 + the signal's number when it was told to stop and died of it). The worker dies when the
/// parent does. Call it before any thread is started; fails when fork or its memory does.
Result<int> run(const Options& options, const std::function<int(Pulse&)>& worker);

}  // namespace holdfast::watchdog
