#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "host.h"

namespace holdfast::kernel::testing {

/// How a client opens a connection.
struct Dial {
  Endpoint to;
  bool mapped = false;  ///< dial IPv4 through an AF_INET6 socket
  bool udp = false;
  std::uint32_t mark = 0;
  std::uint16_t from_port = 0;  ///< 0: any
  bool give_up = false;         ///< close at once, whatever has come of it
  int reuse = -1;               ///< connect this earlier socket again
};

struct Dialled {
  int error = 0;      ///< errno of connect()
  Endpoint peer;      ///< getpeername()
  Endpoint local;     ///< getsockname()
  int handle = -1;    ///< for the calls below
  int syn_count = 0;  ///< TCP_SYNCNT
  double seconds = 0;
};

/// A process in a cgroup and a network namespace of its own that connects as it is told.
class Client {
 public:
  /// `netns` -1: the host's.
  explicit Client(const TestCgroup& cgroup, int netns = -1, const std::string& comm = "client");
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  [[nodiscard]] pid_t pid() const { return pid_; }
  Dialled dial(const Dial& dial);
  Dialled dial(const Endpoint& to) { return dial(Dial{.to = to}); }
  /// Returns how many bytes went out.
  std::size_t send(int handle, std::size_t bytes);
  /// Reads until `bytes` came or the stream ended; returns how many, or minus errno.
  long receive(int handle, std::size_t bytes);
  void close(int handle);
  /// Closes with a reset.
  void abort(int handle);

 private:
  Fd control_;
  pid_t pid_ = -1;
};

}  // namespace holdfast::kernel::testing
