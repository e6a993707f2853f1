#include "agent/health.h"

#include <gtest/gtest.h>

namespace holdfast::agent {
namespace {

using namespace std::chrono_literals;

class HealthTest : public testing::Test {
 protected:
  Health::Time now_{100s};
  Health health_{2};

  void all_well() {
    health_.ticked(0, now_);
    health_.ticked(1, now_);
    health_.self_test_passed(now_);
    health_.resources(0.1, 0.0);
  }
};

TEST_F(HealthTest, NothingIsWellBeforeTheFirstSelfTest) {
  health_.ticked(0, now_);
  health_.ticked(1, now_);
  EXPECT_EQ(health_.problems(now_).size(), 1u);
}

TEST_F(HealthTest, AllWell) {
  all_well();
  EXPECT_TRUE(health_.problems(now_).empty());
  EXPECT_TRUE(health_.threads_alive(now_));
}

TEST_F(HealthTest, OneBlockedThreadStopsTheHeart) {
  all_well();
  now_ += Health::kTickLimit + 1ms;
  health_.ticked(0, now_);
  EXPECT_FALSE(health_.threads_alive(now_));
  EXPECT_EQ(health_.problems(now_).size(), 1u);
}

TEST_F(HealthTest, AnOldSelfTestStopsTheHeartWithItsReason) {
  all_well();
  health_.self_test_failed("no certificate");
  now_ += Health::kSelfTestLimit + 1ms;
  health_.ticked(0, now_);
  health_.ticked(1, now_);
  const auto problems = health_.problems(now_);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems.front().find("no certificate"), std::string::npos);
}

TEST_F(HealthTest, ResourcesStopTheHeart) {
  all_well();
  health_.resources(0.95, 0.0);
  EXPECT_EQ(health_.problems(now_).size(), 1u);
  health_.resources(0.1, 0.9);
  EXPECT_EQ(health_.problems(now_).size(), 1u);
}

TEST_F(HealthTest, AConnectionThatCouldNotBeAcceptedStopsTheHeartForAWhile) {
  all_well();
  health_.exhausted(now_);
  EXPECT_EQ(health_.problems(now_).size(), 1u);
  now_ += Health::kExhaustedFor;
  all_well();
  EXPECT_TRUE(health_.problems(now_).empty());
}

}  // namespace
}  // namespace holdfast::agent
