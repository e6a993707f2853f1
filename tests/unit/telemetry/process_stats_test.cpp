#include "telemetry/process_stats.h"

#include <gtest/gtest.h>

namespace holdfast::telemetry {
namespace {

TEST(ProcessStats, ThisProcess) {
  const auto stats = read_process_stats();
  ASSERT_TRUE(stats);
  EXPECT_GT(stats->resident_bytes, 100'000u);
  EXPECT_GE(stats->threads, 1u);
  EXPECT_GE(stats->open_fds, 3u);
  EXPECT_GT(stats->start_time_seconds, 1e9);
}

TEST(ProcessStats, ACommandMayBeNamedAnything) {
  const auto stat = parse_stat_line(
      "1 (a) R 9 (b) S 1 2 3 4 5 6 7 8 9 10 100 200 13 14 15 16 3 18 999 4096 7 23");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->utime_ticks, 100u);
  EXPECT_EQ(stat->stime_ticks, 200u);
  EXPECT_EQ(stat->threads, 3u);
  EXPECT_EQ(stat->start_ticks, 999u);
  EXPECT_EQ(stat->virtual_bytes, 4096u);
  EXPECT_EQ(stat->resident_pages, 7u);
  EXPECT_FALSE(parse_stat_line(""));
  EXPECT_FALSE(parse_stat_line("1 (a) R 1"));
}

}  // namespace
}  // namespace holdfast::telemetry
