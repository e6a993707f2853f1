#include "holdfast/watchdog/watchdog.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "watchdog/policy.h"

namespace holdfast::watchdog {

namespace {

using Clock = std::chrono::steady_clock;
using Counter = std::atomic<std::uint64_t>;
static_assert(Counter::is_always_lock_free, "shared between processes and signal handlers");

/// How often the parent looks.
constexpr Milliseconds kLook{100};

Milliseconds since(Clock::time_point then) {
  return std::chrono::duration_cast<Milliseconds>(Clock::now() - then);
}

timespec to_timespec(Milliseconds time) {
  return {.tv_sec = time.count() / 1000, .tv_nsec = (time.count() % 1000) * 1'000'000};
}

/// A page that parent and child both see.
class SharedCounter {
 public:
  static Result<SharedCounter> create() {
    void* page =
        ::mmap(nullptr, sizeof(Counter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return Error::from_errno("cannot map the watchdog's memory");
    return SharedCounter{new (page) Counter{0}};
  }
  SharedCounter(SharedCounter&& other) noexcept
      : counter_{std::exchange(other.counter_, nullptr)} {}
  SharedCounter(const SharedCounter&) = delete;
  SharedCounter& operator=(const SharedCounter&) = delete;
  SharedCounter& operator=(SharedCounter&&) = delete;
  ~SharedCounter() {
    if (counter_) ::munmap(counter_, sizeof(Counter));
  }
  [[nodiscard]] Counter& get() const { return *counter_; }

 private:
  explicit SharedCounter(Counter* counter) : counter_{counter} {}
  Counter* counter_;
};

/// Blocks the signals that the parent waits for, and puts the old mask back.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigemptyset(&waited_);
    for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&waited_, number);
    sigprocmask(SIG_BLOCK, &waited_, &before_);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  BlockedSignals(BlockedSignals&&) = delete;
  BlockedSignals& operator=(BlockedSignals&&) = delete;
  ~BlockedSignals() { restore(); }
  void restore() const { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  /// The next signal, or 0 when `limit` passed first.
  [[nodiscard]] int wait(Milliseconds limit) const {
    const timespec time = to_timespec(limit);
    const int number = sigtimedwait(&waited_, nullptr, &time);
    return number > 0 ? number : 0;
  }

 private:
  sigset_t waited_{};
  sigset_t before_{};
};

[[noreturn]] void be_worker(pid_t parent, const BlockedSignals& signals, Counter& beats,
                            const std::function<int(Pulse&)>& worker) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before that line.
  if (::getppid() != parent) ::_exit(EXIT_FAILURE);
  signals.restore();
  Pulse pulse{&beats};
  const int code = worker(pulse);
  std::fflush(nullptr);
  // Static objects belong to the parent's life too; the worker has ended its own.
  ::_exit(code);
}

struct Life {
  int status = 0;  ///< as wait(2) says it
  bool silenced = false;
};

/// Watches one worker until it ends. `stop` outlives it: a request to stop also ends the restarts.
Life watch(pid_t child, const Options& options, const BlockedSignals& signals, Counter& beats,
           std::optional<Clock::time_point>& stop) {
  Life life;
  SilenceJudge judge{options};
  auto looked = Clock::now();
  for (;;) {
    const int number = signals.wait(kLook);
    if (number == SIGTERM || number == SIGINT) {
      if (!stop) stop = Clock::now();
      ::kill(child, number);
    } else if (number == SIGHUP) {
      ::kill(child, number);
    }
    const pid_t ended = ::waitpid(child, &life.status, WNOHANG);
    if (ended == child || (ended < 0 && errno == ECHILD)) return life;
    const auto step = since(looked);
    looked = Clock::now();
    // A worker that drains may be quiet; it has its own limit.
    const bool overdue = stop ? since(*stop) > options.stop_limit
                              : judge.is_silent(beats.load(std::memory_order_relaxed), step);
    if (overdue && !life.silenced) {
      life.silenced = true;
      std::fprintf(stderr, "watchdog: worker %d is silent: killing it\n", child);
      ::kill(child, SIGKILL);
    }
  }
}

/// The code to end with, or nothing when the worker is to be started again.
std::optional<int> verdict(const Life& life, bool stopping) {
  if (WIFEXITED(life.status)) return WEXITSTATUS(life.status);
  constexpr int kSignalBase = 128;
  if (stopping) return kSignalBase + WTERMSIG(life.status);
  return std::nullopt;
}

}  // namespace

void Pulse::beat() noexcept {
  static_cast<Counter*>(shared_)->fetch_add(1, std::memory_order_relaxed);
}

Result<int> run(const Options& options, const std::function<int(Pulse&)>& worker) {
  auto beats = SharedCounter::create();
  if (!beats) return beats.error();
  const BlockedSignals signals;
  Backoff backoff{options};
  std::optional<Clock::time_point> stop;
  for (;;) {
    beats->get().store(0);
    const auto started = Clock::now();
    // Or what is buffered would be written twice.
    std::fflush(nullptr);
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) return Error::from_errno("cannot start the worker");
    if (child == 0) be_worker(parent, signals, beats->get(), worker);
    const Life life = watch(child, options, signals, beats->get(), stop);
    if (const auto code = verdict(life, stop.has_value())) return *code;

    const auto pause = backoff.after(since(started));
    std::fprintf(stderr, "watchdog: worker %d died of signal %d: starting another in %lld ms\n",
                 child, WTERMSIG(life.status), static_cast<long long>(pause.count()));
    const auto resume = Clock::now() + pause;
    while (Clock::now() < resume) {
      const int number = signals.wait(std::min(kLook, pause));
      if (number == SIGTERM || number == SIGINT) return 128 + number;
    }
  }
}

}  // namespace holdfast::watchdog
