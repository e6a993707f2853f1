// Real processes with short limits; each bound is a deadline, no test waits for one to pass by.
#include "holdfast/watchdog/watchdog.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

namespace holdfast::watchdog {
namespace {

using namespace std::chrono_literals;

constexpr Options kQuick{.silence_limit = 300ms,
                         .startup_limit = 5000ms,
                         .stop_limit = 5000ms,
                         .first_backoff = 1ms,
                         .longest_backoff = 1ms};

/// What workers and the test both see.
struct Shared {
  std::atomic<int> starts{0};
  std::atomic<pid_t> worker{0};
  std::atomic<int> signals{0};
};

class WatchdogTest : public ::testing::Test {
 protected:
  WatchdogTest() {
    void* page =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared_ = new (page) Shared;
  }
  ~WatchdogTest() override { ::munmap(shared_, sizeof(Shared)); }
  Shared* shared_;
};

TEST_F(WatchdogTest, PassesTheExitCodeOn) {
  const auto code = run(kQuick, [](Pulse& pulse) {
    pulse.beat();
    return 7;
  });
  ASSERT_TRUE(code);
  EXPECT_EQ(*code, 7);
}

TEST_F(WatchdogTest, StartsAKilledWorkerAgain) {
  const auto code = run(kQuick, [this](Pulse& pulse) {
    pulse.beat();
    if (++shared_->starts < 3) ::raise(SIGKILL);
    return 0;
  });
  EXPECT_EQ(code.value(), 0);
  EXPECT_EQ(shared_->starts, 3);
}

TEST_F(WatchdogTest, KillsAWorkerThatFellSilent) {
  const auto code = run(kQuick, [this](Pulse& pulse) {
    pulse.beat();
    if (++shared_->starts == 1) {
      // Stopped, as by a debugger or a full disk: it cannot even handle a signal.
      ::raise(SIGSTOP);
      return 1;
    }
    return 0;
  });
  EXPECT_EQ(code.value(), 0);
  EXPECT_EQ(shared_->starts, 2);
}

TEST_F(WatchdogTest, LeavesAWorkerThatBeatsAlone) {
  const auto code = run(kQuick, [](Pulse& pulse) {
    const auto end = std::chrono::steady_clock::now() + 900ms;
    while (std::chrono::steady_clock::now() < end) {
      pulse.beat();
      ::usleep(10000);
    }
    return 3;
  });
  EXPECT_EQ(code.value(), 3);
}

TEST_F(WatchdogTest, PassesSignalsOn) {
  // The whole watchdog in a child, so that the test can signal it.
  const pid_t parent = ::fork();
  if (parent == 0) {
    const auto code = run(kQuick, [this](Pulse& pulse) -> int {
      static Shared* shared;
      shared = shared_;
      std::signal(SIGHUP, [](int) { ++shared->signals; });
      std::signal(SIGTERM, [](int) { ::_exit(shared->signals == 1 ? 42 : 1); });
      shared_->worker = ::getpid();
      for (;;) {
        pulse.beat();
        ::usleep(1000);
      }
    });
    ::_exit(code.value());
  }
  while (shared_->worker == 0) ::usleep(1000);
  ::kill(parent, SIGHUP);
  while (shared_->signals == 0) ::usleep(1000);
  ::kill(parent, SIGTERM);
  int status = 0;
  ASSERT_EQ(::waitpid(parent, &status, 0), parent);
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

TEST_F(WatchdogTest, TheWorkerDiesWithItsParent) {
  const pid_t parent = ::fork();
  if (parent == 0) {
    (void)run(kQuick, [this](Pulse& pulse) -> int {
      shared_->worker = ::getpid();
      for (;;) {
        pulse.beat();
        ::usleep(1000);
      }
    });
    ::_exit(0);
  }
  while (shared_->worker == 0) ::usleep(1000);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  // Its new parent may not have collected it yet; a zombie runs no more.
  const std::string stat_path = "/proc/" + std::to_string(shared_->worker) + "/stat";
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  const auto is_dead = [&] {
    FILE* file = std::fopen(stat_path.c_str(), "re");
    if (!file) return true;
    char state = 0;
    const int read = std::fscanf(file, "%*d %*s %c", &state);
    std::fclose(file);
    return read != 1 || state == 'Z' || state == 'X';
  };
  while (!is_dead() && std::chrono::steady_clock::now() < deadline) ::usleep(1000);
  EXPECT_TRUE(is_dead());
}

}  // namespace
}  // namespace holdfast::watchdog
