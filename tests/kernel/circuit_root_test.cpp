// What happens when redirecting does not work.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixture.h"
#include "links.h"

namespace holdfast::kernel::testing {
namespace {

class CircuitTest : public InterceptorTest {
 protected:
  /// The one circuit that is expected to be open.
  OpenCircuit only_circuit() {
    const auto open = interceptor_->open_circuits();
    EXPECT_EQ(open.size(), 1U);
    return open.empty() ? OpenCircuit{} : open.front();
  }
  /// Fills the agent's accept queue: from then on the kernel drops every SYN without a word.
  void make_black_hole() {
    agent_v4_.close();
    agent_v4_ = Listener{agent_v4_.endpoint(), 0};
    filler_.emplace(outside_);
    ASSERT_EQ(filler_->dial(agent_v4_.endpoint()).error, 0);
  }
  TestCgroup outside_;
  std::optional<Client> filler_;
};

TEST_F(CircuitTest, ARefusingListenerOpensIt) {
  agent_v4_.close();
  Client client{pod_};
  EXPECT_EQ(dial(client, server_v4_.endpoint()).dialled.error, ECONNREFUSED);
  EXPECT_TRUE(interceptor_->open_circuits().empty());
  EXPECT_EQ(dial(client, server_v4_.endpoint()).dialled.error, ECONNREFUSED);
  beat();
  const auto third = client.dial(server_v4_.endpoint());
  EXPECT_EQ(third.error, 0);
  EXPECT_TRUE(server_v4_.accept());
  EXPECT_EQ(reason_count(Reason::kCircuitOpen), 1U);
  const auto circuit = only_circuit();
  EXPECT_EQ(circuit.key.cgroup_id, pod_.id());
  EXPECT_EQ(circuit.last_failure, Failure::kRefused);
  EXPECT_EQ(circuit.failures, 2U);
  EXPECT_EQ(interceptor_->counters().circuits_opened, 1U);
  flows_until([](const FlowEvent& e) { return e.kind == FlowKind::kCircuitOpened; });

  // Only the agent closes it.
  ASSERT_TRUE(interceptor_->close_circuit(circuit.key));
  EXPECT_TRUE(interceptor_->open_circuits().empty());
  agent_v4_ = Listener{agent_v4_.endpoint()};
  EXPECT_TRUE(dial(client, server_v4_.endpoint()).redirected);
}

TEST_F(CircuitTest, OtherCgroupsAreNotAffected) {
  const auto endpoint = agent_v4_.endpoint();
  agent_v4_.close();
  Client client{pod_};
  dial(client, server_v4_.endpoint());
  dial(client, server_v4_.endpoint());
  EXPECT_EQ(interceptor_->open_circuits().size(), 1U);
  agent_v4_ = Listener{endpoint};
  TestCgroup other_pod{cgroup_, "other"};
  {
    Client other{other_pod};
    EXPECT_TRUE(dial(other, server_v4_.endpoint()).redirected);
  }
  EXPECT_FALSE(dial(client, server_v4_.endpoint()).redirected);
}

TEST_F(CircuitTest, ABlackHoleOpensItWithinSeconds) {
  make_black_hole();
  Client client{pod_};
  beat();
  const auto first = client.dial(server_v4_.endpoint());
  EXPECT_EQ(first.error, ETIMEDOUT);
  EXPECT_LT(first.seconds, 8.0) << "2 SYNs are repeated; the kernel's own limit is minutes";
  beat();
  EXPECT_EQ(client.dial(server_v4_.endpoint()).error, ETIMEDOUT);
  beat();
  EXPECT_EQ(client.dial(server_v4_.endpoint()).error, 0);
  EXPECT_TRUE(server_v4_.accept());
  EXPECT_EQ(only_circuit().last_failure, Failure::kSynLost);
}

TEST_F(CircuitTest, AClientThatGivesUpDoesNotCount) {
  make_black_hole();
  Client client{pod_};
  for (int i = 0; i < 3; ++i) {
    beat();
    client.dial(Dial{.to = server_v4_.endpoint(), .give_up = true});
  }
  EXPECT_EQ(failure_count(Failure::kGaveUp), 3U);
  EXPECT_TRUE(interceptor_->open_circuits().empty());
}

TEST_F(CircuitTest, AResetBeforeAByteOpensIt) {
  Client client{pod_};
  for (int i = 0; i < 2; ++i) {
    auto outcome = dial(client, server_v4_.endpoint());
    ASSERT_TRUE(outcome.redirected);
    client.send(outcome.dialled.handle, 10);
    reset(std::move(outcome.accepted));
    EXPECT_EQ(client.receive(outcome.dialled.handle, 1), -ECONNRESET);
  }
  EXPECT_EQ(only_circuit().last_failure, Failure::kReset);
  EXPECT_FALSE(dial(client, server_v4_.endpoint()).redirected);
}

TEST_F(CircuitTest, AClientsOwnResetDoesNotCount) {
  Client client{pod_};
  for (int i = 0; i < 3; ++i) {
    auto outcome = dial(client, server_v4_.endpoint());
    ASSERT_TRUE(outcome.redirected);
    client.send(outcome.dialled.handle, 10);
    client.abort(outcome.dialled.handle);
  }
  EXPECT_TRUE(interceptor_->open_circuits().empty());
  EXPECT_EQ(failure_count(Failure::kReset), 0U);
}

TEST_F(CircuitTest, AResetAfterAByteDoesNotCount) {
  Client client{pod_};
  for (int i = 0; i < 3; ++i) {
    auto outcome = dial(client, server_v4_.endpoint());
    ASSERT_TRUE(outcome.redirected);
    ASSERT_EQ(::send(outcome.accepted.get(), "x", 1, 0), 1);
    EXPECT_EQ(client.receive(outcome.dialled.handle, 1), 1);
    reset(std::move(outcome.accepted));
  }
  EXPECT_TRUE(interceptor_->open_circuits().empty());
}

TEST_F(CircuitTest, NoRouteToTheListenerOpensItAtOnce) {
  TestNetns nowhere;
  Client client{pod_, nowhere.fd()};
  beat();
  const auto first = client.dial(server_v4_.endpoint());
  EXPECT_EQ(first.error, ENETUNREACH);
  client.close(first.handle);
  EXPECT_EQ(only_circuit().last_failure, Failure::kUnroutable);
  beat();
  client.dial(server_v4_.endpoint());
  EXPECT_EQ(reason_count(Reason::kCircuitOpen), 1U);
}

TEST_F(CircuitTest, ATagThatNobodyClaimsCounts) {
  Client client{pod_};
  beat();
  client.dial(server_v4_.endpoint());
  const auto published = std::chrono::steady_clock::now();
  EXPECT_EQ(interceptor_->sweep_unclaimed(published), 0U);
  EXPECT_EQ(interceptor_->sweep_unclaimed(published + 1100ms), 1U);
  EXPECT_TRUE(interceptor_->open_circuits().empty());
  client.dial(server_v4_.endpoint());
  EXPECT_EQ(interceptor_->sweep_unclaimed(published + 3s), 1U);
  EXPECT_EQ(only_circuit().last_failure, Failure::kUnclaimed);
  EXPECT_EQ(failure_count(Failure::kUnclaimed), 2U);
}

TEST_F(CircuitTest, FailuresFarApartDoNotOpenIt) {
  const CircuitKey key{.netns_cookie = NetnsCookie{1}, .cgroup_id = CgroupId{2}};
  const auto now = std::chrono::steady_clock::now();
  interceptor_->report_failure(key, Failure::kUnclaimed, now);
  interceptor_->report_failure(key, Failure::kUnclaimed, now + 11s);
  EXPECT_TRUE(interceptor_->open_circuits().empty());
  interceptor_->report_failure(key, Failure::kUnclaimed, now + 20s);
  EXPECT_EQ(interceptor_->open_circuits().size(), 1U);
}

}  // namespace
}  // namespace holdfast::kernel::testing
