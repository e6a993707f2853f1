#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/fd.h"
#include "holdfast/kernel/types.h"

/// A small world for tests that need root: the test binary's own network namespace is "the host",
/// it has no route out, and every cgroup is the test's own.
namespace holdfast::kernel::testing {

using namespace std::chrono_literals;
/// For what must come to pass; nothing waits this long unless it fails.
inline constexpr auto kPatience = 10s;

/// Moves this process into a new network namespace whose `lo` is up. Once, from main.
void become_host();

/// Polls `condition` until it holds or `limit` passed; returns whether it held.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds limit = kPatience);

/// A cgroup2 folder of the test's own, removed with it.
class TestCgroup {
 public:
  TestCgroup();
  TestCgroup(const TestCgroup&) = delete;
  TestCgroup& operator=(const TestCgroup&) = delete;
  ~TestCgroup();
  /// A group inside this one.
  explicit TestCgroup(const TestCgroup& parent, const std::string& name);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] CgroupId id() const;
  /// Moves the calling process.
  void join() const;

 private:
  std::string path_;
};

/// A listening TCP socket.
class Listener {
 public:
  /// Port 0 picks one. The backlog is the number of connections it completes unaccepted, plus one.
  explicit Listener(const Endpoint& endpoint, int backlog = 128);
  [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }
  /// The next connection; invalid when there is none within `limit`.
  Fd accept(std::chrono::milliseconds limit = kPatience) const;
  [[nodiscard]] bool has_connection(std::chrono::milliseconds limit) const;
  void close() { socket_.reset(); }

 private:
  Fd socket_;
  Endpoint endpoint_;
};

/// Ends a connection with a reset.
void reset(Fd socket);

/// An address, to be bound to whatever port is free.
Endpoint any_port(const std::string& address);

/// Puts an address on `lo`.
void add_address(const std::string& address);

}  // namespace holdfast::kernel::testing
