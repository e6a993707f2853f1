// What the interceptor says when it cannot be set up, and does when it cannot remember.
#include <fstream>

#include "fixture.h"
#include "links.h"

namespace holdfast::kernel::testing {
namespace {

class SetupTest : public InterceptorTest {
 protected:
  void SetUp() override {}
  [[nodiscard]] InterceptorOptions options() const {
    InterceptorOptions options;
    options.cgroup_path = cgroup_.path();
    options.listen_v4 = agent_v4_.endpoint();
    return options;
  }
};

TEST_F(SetupTest, AMissingCgroupIsNamed) {
  auto bad = options();
  bad.cgroup_path = "/no/such/cgroup";
  const auto result = Interceptor::create(bad);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().to_string().find("/no/such/cgroup"), std::string::npos);
}

TEST_F(SetupTest, AFolderThatIsNoCgroupIsRefused) {
  auto bad = options();
  bad.cgroup_path = "/proc";
  const auto result = Interceptor::create(bad);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().to_string().find("cannot attach"), std::string::npos)
      << result.error().to_string();
}

TEST_F(SetupTest, ListenersOfTheWrongFamilyAreRefused) {
  auto bad = options();
  bad.listen_v4 = agent_v6_.endpoint();
  EXPECT_EQ(Interceptor::create(bad).error().code, make_error_code(Errc::kInvalidArgument));
  bad = options();
  bad.listen_v6 = agent_v4_.endpoint();
  EXPECT_EQ(Interceptor::create(bad).error().code, make_error_code(Errc::kInvalidArgument));
}

TEST_F(SetupTest, MovesLeaveItAttached) {
  auto first = Interceptor::create(options());
  ASSERT_TRUE(first) << first.error().to_string();
  Interceptor second = std::move(*first);
  const Endpoint targets[] = {server_v4_.endpoint()};
  ASSERT_TRUE(second.set_targets(targets));
  second.beat(std::chrono::steady_clock::now());
  Client client{pod_};
  EXPECT_EQ(client.dial(server_v4_.endpoint()).error, 0);
  EXPECT_TRUE(agent_v4_.accept());
  interceptor_.emplace(std::move(second));
  interceptor_.reset();
  // Links are detached from a work queue.
  EXPECT_TRUE(eventually([&] {
    return client.dial(server_v4_.endpoint()).error == 0 && server_v4_.has_connection(0ms);
  }));
}

TEST_F(SetupTest, TooManyTargetsAreAnError) {
  auto interceptor = Interceptor::create(options());
  ASSERT_TRUE(interceptor);
  std::vector<Endpoint> many;
  for (std::uint32_t i = 0; i < 1025; ++i) many.push_back(Endpoint::v4(0xc6120000 + i, 443));
  EXPECT_FALSE(interceptor->set_targets(many));
  many.pop_back();
  EXPECT_TRUE(interceptor->set_targets(many));
}

TEST_F(InterceptorTest, WhatCannotBeRecordedIsNotRedirected) {
  TestNetns poor;
  bool starved = false;
  // Socket storage counts as option memory, whose limit is per namespace since Linux 6.7.
  poor.enter([&] {
    std::ofstream limit{"/proc/sys/net/core/optmem_max"};
    limit << "16" << std::flush;
    starved = static_cast<bool>(limit);
  });
  if (!starved) GTEST_SKIP() << "net.core.optmem_max is not per namespace here";
  Client client{pod_, poor.fd()};
  beat();
  client.dial(server_v4_.endpoint());
  EXPECT_EQ(reason_count(Reason::kRecordFailed), 1U);
  EXPECT_EQ(interceptor_->counters().verdicts[static_cast<std::size_t>(Verdict::kRedirected)], 0U);
  const auto flows = flows_until([](const FlowEvent& e) { return e.kind == FlowKind::kConnect; });
  EXPECT_EQ(flows.front().reason, Reason::kRecordFailed);
  EXPECT_EQ(flows.front().verdict, Verdict::kDirect);
}

}  // namespace
}  // namespace holdfast::kernel::testing
