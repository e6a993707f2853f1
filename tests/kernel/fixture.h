#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "client.h"
#include "holdfast/kernel/interceptor.h"
#include "host.h"

namespace holdfast::kernel::testing {

/// The addresses of these tests: the API server's are on `lo` of the test's own "host".
inline constexpr auto kApiServerV4 = "198.18.0.1";
inline constexpr auto kApiServerV6 = "fd98::1";
inline constexpr auto kListenerV4 = "169.254.77.1";
inline constexpr auto kListenerV6 = "fd77::1";

/// An API server (two listeners that accept nobody unless a test does), an agent's listeners and
/// an interceptor that beats, attached to a cgroup of the test's own.
class InterceptorTest : public ::testing::Test {
 protected:
  InterceptorTest();
  /// Loads and attaches; SetUp does it with the defaults.
  void start(InterceptorOptions options = {});
  void SetUp() override { start(); }
  void beat() { interceptor_->beat(std::chrono::steady_clock::now()); }

  /// Dials and says what became of it, by who answers to the local end's peer: true when the
  /// agent's listener has the connection, false when the API server has it. Both are accepted, and
  /// the tag, if there is one, is taken.
  struct Outcome {
    Dialled dialled;
    bool redirected = false;
    Fd accepted;
    std::optional<ConnectionTag> tag;
  };
  Outcome dial(Client& client, const Dial& dial);
  Outcome dial(Client& client, const Endpoint& to) { return this->dial(client, Dial{.to = to}); }

  /// All events so far, and those that come until one satisfies `wanted` or patience ends.
  std::vector<FlowEvent> flows_until(const std::function<bool(const FlowEvent&)>& wanted);
  [[nodiscard]] std::uint64_t reason_count(Reason reason) const {
    return interceptor_->counters().reasons[static_cast<std::size_t>(reason)];
  }
  [[nodiscard]] std::uint64_t failure_count(Failure failure) const {
    return interceptor_->counters().failures[static_cast<std::size_t>(failure)];
  }

  TestCgroup cgroup_;
  TestCgroup pod_{cgroup_, "pod"};
  Listener server_v4_{any_port(kApiServerV4)};
  Listener server_v6_{any_port(kApiServerV6)};
  Listener agent_v4_{any_port(kListenerV4)};
  Listener agent_v6_{any_port(kListenerV6)};
  std::optional<Interceptor> interceptor_;
  std::vector<FlowEvent> flows_;
};

}  // namespace holdfast::kernel::testing
