#include <gtest/gtest.h>

#include "holdfast/kernel/circuit.h"

namespace holdfast::kernel {
namespace {

using namespace std::chrono_literals;
using Time = CircuitSchedule::Time;

constexpr CircuitKey kKey{.netns_cookie = NetnsCookie{1}, .cgroup_id = CgroupId{2}};
constexpr CircuitKey kOther{.netns_cookie = NetnsCookie{1}, .cgroup_id = CgroupId{3}};
const Time kStart = Time{} + 1h;

std::vector<OpenCircuit> open_since(Time time, CircuitKey key = kKey) {
  return {OpenCircuit{.key = key, .opened_at = time}};
}

TEST(CircuitScheduleTest, TheFirstProbeComesAfterAMinute) {
  CircuitSchedule schedule;
  EXPECT_TRUE(schedule.due(open_since(kStart), kStart).empty());
  EXPECT_TRUE(schedule.due(open_since(kStart), kStart + 59s).empty());
  EXPECT_EQ(schedule.due(open_since(kStart), kStart + 60s), std::vector{kKey});
}

TEST(CircuitScheduleTest, FailedProbesBackOffToAnHour) {
  CircuitSchedule schedule;
  const auto open = open_since(kStart);
  EXPECT_TRUE(schedule.due(open, kStart).empty());
  Time now = kStart + 1min;
  for (const auto pause : {2min, 4min, 8min, 16min, 32min, 60min, 60min}) {
    EXPECT_EQ(schedule.due(open, now), std::vector{kKey});
    schedule.failed(kKey, now);
    EXPECT_TRUE(schedule.due(open, now + pause - 1s).empty());
    now += pause;
  }
}

TEST(CircuitScheduleTest, AProbeThatCouldNotBeMadeIsRepeatedSoonAndCostsNothing) {
  CircuitSchedule schedule;
  const auto open = open_since(kStart);
  schedule.due(open, kStart);
  Time now = kStart + 1min;
  for (int i = 0; i < 10; ++i, now += 5s) {
    EXPECT_EQ(schedule.due(open, now), std::vector{kKey});
    schedule.postponed(kKey, now);
    EXPECT_TRUE(schedule.due(open, now + 4s).empty());
  }
  EXPECT_EQ(schedule.due(open, now), std::vector{kKey});
  schedule.failed(kKey, now);
  EXPECT_EQ(schedule.due(open, now + 2min), std::vector{kKey}) << "the pause did not grow";
}

TEST(CircuitScheduleTest, OneThatOpensAgainSoonKeepsItsLongerPause) {
  CircuitSchedule schedule;
  schedule.due(open_since(kStart), kStart);
  schedule.closed(kKey, kStart + 1min);
  const Time again = kStart + 90s;
  EXPECT_TRUE(schedule.due(open_since(again), again + 1min).empty());
  EXPECT_EQ(schedule.due(open_since(again), again + 2min), std::vector{kKey});
}

TEST(CircuitScheduleTest, OneThatStaysClosedIsForgotten) {
  CircuitSchedule schedule;
  schedule.due(open_since(kStart), kStart);
  schedule.closed(kKey, kStart + 1min);
  EXPECT_TRUE(schedule.due({}, kStart + 10min).empty());
  const Time again = kStart + 11min;
  EXPECT_TRUE(schedule.due(open_since(again), again).empty());
  EXPECT_EQ(schedule.due(open_since(again), again + 1min), std::vector{kKey});
}

TEST(CircuitScheduleTest, CircuitsDoNotDisturbEachOther) {
  CircuitSchedule schedule;
  std::vector<OpenCircuit> both = open_since(kStart);
  both.push_back(open_since(kStart + 30s, kOther).front());
  EXPECT_TRUE(schedule.due(both, kStart + 30s).empty());
  EXPECT_EQ(schedule.due(both, kStart + 1min), std::vector{kKey});
  schedule.failed(kKey, kStart + 1min);
  EXPECT_EQ(schedule.due(both, kStart + 90s), std::vector{kOther});
}

}  // namespace
}  // namespace holdfast::kernel
