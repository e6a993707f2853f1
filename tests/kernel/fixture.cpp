#include "fixture.h"

#include <poll.h>

#include "kernel/sockaddr.h"

namespace holdfast::kernel::testing {

InterceptorTest::InterceptorTest() = default;

void InterceptorTest::start(InterceptorOptions options) {
  interceptor_.reset();
  options.cgroup_path = cgroup_.path();
  if (!options.listen_v4.port) options.listen_v4 = agent_v4_.endpoint();
  if (!options.listen_v6.port) options.listen_v6 = agent_v6_.endpoint();
  auto interceptor = Interceptor::create(options);
  ASSERT_TRUE(interceptor) << interceptor.error().to_string();
  interceptor_.emplace(std::move(*interceptor));
  const Endpoint targets[] = {server_v4_.endpoint(), server_v6_.endpoint()};
  const auto set = interceptor_->set_targets(targets);
  ASSERT_TRUE(set) << set.error().to_string();
  beat();
}

InterceptorTest::Outcome InterceptorTest::dial(Client& client, const Dial& dial) {
  Outcome outcome;
  beat();
  outcome.dialled = client.dial(dial);
  if (outcome.dialled.error) return outcome;
  const bool v4 = dial.to.is_v4();
  const Listener& agent = v4 ? agent_v4_ : agent_v6_;
  const Listener& server = v4 ? server_v4_ : server_v6_;
  // The handshake is over, so whoever has the connection has it now.
  outcome.redirected = agent.has_connection(0ms);
  // Others may wait before it, such as those of a judge.
  do {
    outcome.accepted = (outcome.redirected ? agent : server).accept();
  } while (outcome.accepted && peer_endpoint(outcome.accepted.get()) != outcome.dialled.local);
  outcome.tag = interceptor_->take_tag(peer_endpoint(outcome.accepted.get()),
                                       local_endpoint(outcome.accepted.get()));
  return outcome;
}

std::vector<FlowEvent> InterceptorTest::flows_until(
    const std::function<bool(const FlowEvent&)>& wanted) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  bool found = false;
  while (!found && std::chrono::steady_clock::now() < deadline) {
    pollfd waiting{.fd = interceptor_->flow_fd(), .events = POLLIN, .revents = 0};
    ::poll(&waiting, 1, 100);
    interceptor_->poll_flows([&](const FlowEvent& event) {
      flows_.push_back(event);
      found = found || wanted(event);
    });
  }
  EXPECT_TRUE(found) << "the awaited event did not come";
  return flows_;
}

}  // namespace holdfast::kernel::testing
