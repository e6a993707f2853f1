#include "watchdog/policy.h"

#include <gtest/gtest.h>

namespace holdfast::watchdog {
namespace {

using namespace std::chrono_literals;

constexpr Options kOptions{.silence_limit = 2000ms, .startup_limit = 5000ms};

/// How many steps of 100 ms the judge bears.
int steps_borne(SilenceJudge& judge, std::uint64_t beats) {
  int steps = 0;
  while (!judge.is_silent(beats, 100ms)) ++steps;
  return steps;
}

TEST(SilenceJudgeTest, StartingMayTakeLonger) {
  SilenceJudge judge{kOptions};
  EXPECT_EQ(steps_borne(judge, 0), 50);
}

TEST(SilenceJudgeTest, AfterTheFirstBeatTheShortLimitHolds) {
  SilenceJudge judge{kOptions};
  for (int i = 0; i < 40; ++i) EXPECT_FALSE(judge.is_silent(0, 100ms));
  EXPECT_FALSE(judge.is_silent(1, 100ms));
  EXPECT_EQ(steps_borne(judge, 1), 20);
}

TEST(SilenceJudgeTest, EachBeatStartsAnew) {
  SilenceJudge judge{kOptions};
  for (std::uint64_t beat = 1; beat < 100; ++beat) {
    for (int i = 0; i < 20; ++i) ASSERT_FALSE(judge.is_silent(beat, 100ms));
  }
}

TEST(SilenceJudgeTest, AParentThatSleptDoesNotBlameTheWorker) {
  SilenceJudge judge{kOptions};
  EXPECT_FALSE(judge.is_silent(1, 100ms));
  EXPECT_FALSE(judge.is_silent(1, 1h));
  EXPECT_FALSE(judge.is_silent(2, 100ms));
}

TEST(BackoffTest, DoublesUpToItsLimitAndForgetsAfterAHealthyLife) {
  Backoff backoff{Options{.first_backoff = 250ms, .longest_backoff = 900ms, .healthy_after = 60s}};
  EXPECT_EQ(backoff.after(1s), 250ms);
  EXPECT_EQ(backoff.after(1s), 500ms);
  EXPECT_EQ(backoff.after(1s), 900ms);
  EXPECT_EQ(backoff.after(1s), 900ms);
  EXPECT_EQ(backoff.after(60s), 250ms);
  EXPECT_EQ(backoff.after(1s), 500ms);
}

}  // namespace
}  // namespace holdfast::watchdog
