#pragma once

#include <functional>
#include <string>

#include "holdfast/base/fd.h"
#include "holdfast/kernel/types.h"

namespace holdfast::kernel::testing {

/// Acts on the calling thread's network namespace.
void set_link_up(const std::string& name);
/// Replaces the link's first IPv4 address, with a full-length prefix.
void set_host_address(const std::string& name, const std::string& address);

/// A network namespace with `lo` up and nothing else.
class TestNetns {
 public:
  TestNetns();
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Runs `work` inside, on a thread of its own.
  void enter(const std::function<void()>& work) const;

 private:
  Fd fd_;
};

/// A pod: a namespace, connected to the host by a veth pair, its default route through the host.
class TestPod : public TestNetns {
 public:
  /// `subnet` n gives the host 198.18.n.1 and the pod 198.18.n.2.
  explicit TestPod(int subnet, bool default_route = true);
  [[nodiscard]] std::string address() const;
  /// Whether this kernel can make one (the module may be missing).
  static bool supported();
  /// From now on only 169.254.77.1 is reachable.
  void route_listener_only();

 private:
  int subnet_;
};

}  // namespace holdfast::kernel::testing
