#include "agent/open_flows.h"

#include <gtest/gtest.h>

#include <set>

namespace holdfast::agent {
namespace {

using namespace std::chrono_literals;
using Id = kernel::ConnectionId;

class OpenFlowsTest : public testing::Test {
 protected:
  void connect(std::uint64_t id, bool direct = true, pid_t pid = 1) {
    flows_.connecting(Id{id}, pid, direct, identity::Process{.executable = "/bin/app"}, now_);
  }
  void pass(std::chrono::seconds time) {
    for (auto t = 0s; t < time; t += 1s) flows_.tick(now_ += 1s);
  }

  std::set<pid_t> gone_;
  OpenFlows flows_{[this](pid_t pid) { return !gone_.contains(pid); }};
  OpenFlows::Time now_ = OpenFlows::Time{} + 1h;
};

TEST_F(OpenFlowsTest, CountsThoseThatAreEstablishedAndDirect) {
  connect(1);
  connect(2, false);
  connect(3);
  EXPECT_EQ(flows_.direct(), 0);
  for (const std::uint64_t id : {1, 2, 3, 3, 4}) flows_.established(Id{id});
  EXPECT_EQ(flows_.direct(), 2);
  ASSERT_NE(flows_.find(Id{2}), nullptr);
  EXPECT_EQ(flows_.find(Id{2})->executable, "/bin/app");
  for (const std::uint64_t id : {1, 1, 2, 4}) flows_.closed(Id{id});
  EXPECT_EQ(flows_.direct(), 1);
  EXPECT_EQ(flows_.find(Id{2}), nullptr);
}

TEST_F(OpenFlowsTest, ASocketThatConnectsAgainIsOne) {
  connect(1);
  flows_.established(Id{1});
  connect(1);
  EXPECT_EQ(flows_.direct(), 0);
  EXPECT_EQ(flows_.size(), 1u);
}

TEST_F(OpenFlowsTest, OneThatWasNeverEstablishedIsForgotten) {
  connect(1);
  connect(2);
  flows_.established(Id{2});
  pass(150s);
  EXPECT_EQ(flows_.size(), 2u);
  pass(90s);
  EXPECT_EQ(flows_.size(), 1u);
  EXPECT_EQ(flows_.direct(), 1);
}

TEST_F(OpenFlowsTest, OneWhoseEndGotLostGoesWithItsProcess) {
  connect(1, true, 10);
  connect(2, true, 20);
  flows_.established(Id{1});
  flows_.established(Id{2});
  gone_.insert(10);
  pass(61s);
  EXPECT_EQ(flows_.direct(), 1);
  EXPECT_EQ(flows_.find(Id{1}), nullptr);
}

TEST_F(OpenFlowsTest, TheOldestMakesRoom) {
  for (std::uint64_t id = 1; id <= OpenFlows::kMost + 1; ++id) {
    connect(id);
    flows_.established(Id{id});
  }
  EXPECT_EQ(flows_.size(), OpenFlows::kMost);
  EXPECT_EQ(flows_.direct(), static_cast<std::int64_t>(OpenFlows::kMost));
  EXPECT_EQ(flows_.find(Id{1}), nullptr);
  EXPECT_NE(flows_.find(Id{2}), nullptr);
}

}  // namespace
}  // namespace holdfast::agent
