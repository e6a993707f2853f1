// What is told about connections to the API server, redirected and direct.
#include "fixture.h"
#include "kernel/sockaddr.h"

namespace holdfast::kernel::testing {
namespace {

class FlowTest : public InterceptorTest {
 protected:
  /// The events of one connection, in order, up to its close.
  std::vector<FlowEvent> life_of_one() {
    flows_until([](const FlowEvent& event) { return event.kind == FlowKind::kClosed; });
    return flows_;
  }
};

TEST_F(FlowTest, ARedirectedConnectionFromBeginToEnd) {
  Client client{pod_, -1, "flow-client"};
  auto outcome = dial(client, server_v4_.endpoint());
  ASSERT_TRUE(outcome.redirected);
  const int handle = outcome.dialled.handle;
  EXPECT_EQ(client.send(handle, 1000), 1000U);
  std::vector<char> buffer(70000);
  ASSERT_EQ(::recv(outcome.accepted.get(), buffer.data(), 1000, MSG_WAITALL), 1000);
  ASSERT_EQ(::send(outcome.accepted.get(), buffer.data(), buffer.size(), 0), 70000);
  EXPECT_EQ(client.receive(handle, 70000), 70000);
  client.close(handle);
  EXPECT_EQ(::recv(outcome.accepted.get(), buffer.data(), 1, 0), 0);
  outcome.accepted.reset();

  const auto flows = life_of_one();
  ASSERT_EQ(flows.size(), 3U);
  EXPECT_EQ(flows[0].kind, FlowKind::kConnect);
  EXPECT_EQ(flows[1].kind, FlowKind::kEstablished);
  EXPECT_EQ(flows[2].kind, FlowKind::kClosed);
  for (const auto& flow : flows) {
    EXPECT_EQ(flow.verdict, Verdict::kRedirected);
    EXPECT_EQ(flow.reason, Reason::kNone);
    EXPECT_EQ(flow.failure, Failure::kNone);
    EXPECT_EQ(flow.pid, client.pid());
    EXPECT_EQ(flow.comm, "flow-client");
    EXPECT_EQ(flow.cgroup_id, pod_.id());
    EXPECT_EQ(flow.original, server_v4_.endpoint());
    EXPECT_EQ(flow.connection, flows[0].connection);
  }
  EXPECT_EQ(flows[1].local, outcome.dialled.local);
  EXPECT_GT(flows[1].srtt.count(), 0);
  EXPECT_EQ(flows[2].bytes_sent, 1000U);
  EXPECT_EQ(flows[2].bytes_received, 70000U);
  EXPECT_EQ(flows[2].retransmits, 0U);
  ASSERT_TRUE(flows[2].established_at);
  EXPECT_GE(*flows[2].established_at, flows[2].connected_at);
  EXPECT_GE(flows[2].at, *flows[2].established_at);
}

TEST_F(FlowTest, ADirectConnectionIsTracedToo) {
  Client client{pod_};
  auto outcome = dial(client, Dial{.to = server_v4_.endpoint(), .mark = kOwnMark});
  ASSERT_FALSE(outcome.redirected);
  const int handle = outcome.dialled.handle;
  client.send(handle, 300);
  ASSERT_EQ(::send(outcome.accepted.get(), "hello", 5, 0), 5);
  EXPECT_EQ(client.receive(handle, 5), 5);
  std::vector<char> buffer(300);
  ASSERT_EQ(::recv(outcome.accepted.get(), buffer.data(), 300, MSG_WAITALL), 300);
  // This time the server closes first.
  outcome.accepted.reset();
  EXPECT_EQ(client.receive(handle, 1), 0);
  client.close(handle);

  const auto flows = life_of_one();
  ASSERT_EQ(flows.size(), 3U);
  for (const auto& flow : flows) {
    EXPECT_EQ(flow.verdict, Verdict::kDirect);
    EXPECT_EQ(flow.reason, Reason::kOwnTraffic);
  }
  EXPECT_EQ(flows[2].bytes_sent, 300U);
  EXPECT_EQ(flows[2].bytes_received, 5U);
  EXPECT_FALSE(outcome.tag) << "only redirected connections have tags";
}

TEST_F(FlowTest, ARefusedConnectionSaysSo) {
  agent_v4_.close();
  Client client{pod_};
  EXPECT_EQ(dial(client, server_v4_.endpoint()).dialled.error, ECONNREFUSED);
  const auto flows = life_of_one();
  ASSERT_EQ(flows.size(), 2U);
  EXPECT_EQ(flows[1].failure, Failure::kRefused);
  EXPECT_FALSE(flows[1].established_at);
}

TEST_F(FlowTest, LostEventsAreCounted) {
  InterceptorOptions options;
  options.event_buffer_bytes = 4096;
  start(options);
  Client client{pod_};
  for (int i = 0; i < 40; ++i) {
    auto outcome = dial(client, server_v4_.endpoint());
    EXPECT_TRUE(outcome.redirected) << "a full buffer changes nothing else";
    client.abort(outcome.dialled.handle);
  }
  const auto lost = interceptor_->counters().events_lost;
  std::size_t delivered = 0;
  interceptor_->poll_flows([&](const FlowEvent&) { ++delivered; });
  EXPECT_GT(lost, 0U);
  EXPECT_EQ(lost + delivered, 120U);
}

TEST_F(FlowTest, TwoConnectionsOfOneTupleHaveNoTag) {
  Client client{pod_};
  constexpr std::uint16_t kPort = 45678;
  beat();
  const auto first = client.dial(Dial{.to = server_v4_.endpoint(), .from_port = kPort});
  ASSERT_EQ(first.error, 0);
  const Endpoint peer = first.local;
  // Gone before the agent accepted it; its tag is still there.
  client.abort(first.handle);
  const auto second = client.dial(Dial{.to = server_v4_.endpoint(), .from_port = kPort});
  ASSERT_EQ(second.error, 0);
  ASSERT_EQ(second.local, peer);
  EXPECT_FALSE(interceptor_->take_tag(peer, agent_v4_.endpoint()));
  EXPECT_FALSE(interceptor_->take_tag(peer, agent_v4_.endpoint()));
  EXPECT_EQ(interceptor_->counters().tag_conflicts, 1U);
}

}  // namespace
}  // namespace holdfast::kernel::testing
