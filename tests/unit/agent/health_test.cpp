#include "agent/health.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

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

TEST_F(HealthTest, WhatALateThreadKeptWaitingIsNotHeldAgainstItsClients) {
  const auto tick = [this](std::chrono::milliseconds after) {
    now_ += after;
    health_.ticked(0, now_);
    health_.ticked(1, now_);
  };
  all_well();
  for (int i = 0; i < 30; ++i) tick(100ms);
  EXPECT_EQ(health_.pace(now_), Health::Pace::kSteady);
  now_ += 600ms;
  health_.ticked(0, now_);
  EXPECT_EQ(health_.pace(now_), Health::Pace::kLate);
  tick(0ms);
  EXPECT_EQ(health_.pace(now_), Health::Pace::kRecovering);
  for (int i = 0; i < 19; ++i) tick(100ms);
  EXPECT_EQ(health_.pace(now_), Health::Pace::kRecovering);
  tick(100ms);
  EXPECT_EQ(health_.pace(now_), Health::Pace::kSteady);
}

TEST(BeatTest, ABeatDoesNotOverruleWhoStopsTheHeartMeanwhile) {
  bool well = true;
  std::string heart;
  const auto is_well = [&] { return well; };
  const auto beat = [&] { heart += "beat "; };
  const auto stop = [&] { heart += "stop "; };
  EXPECT_TRUE(beat_if_well(is_well, beat, stop));
  EXPECT_EQ(heart, "beat ");
  const auto beat_late = [&] {
    well = false;  // another thread is out of descriptors, and has stopped the heart already
    beat();
  };
  EXPECT_FALSE(beat_if_well(is_well, beat_late, stop));
  EXPECT_EQ(heart, "beat beat stop ");
  EXPECT_FALSE(beat_if_well(is_well, beat, stop));
  EXPECT_EQ(heart, "beat beat stop ");
}

TEST(DescriptorLimitTest, IsRaisedToWhatIsAllowed) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low{.rlim_cur = 256, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(raise_descriptor_limit(), before.rlim_max);
  rlimit after{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace holdfast::agent
