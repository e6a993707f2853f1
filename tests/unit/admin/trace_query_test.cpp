#include "holdfast/admin/trace_query.h"

#include <gtest/gtest.h>

namespace holdfast::admin {
namespace {

using telemetry::TraceFilter;

TEST(TraceQuery, RoundTrips) {
  const TraceFilter filters[] = {{},
                                 {.kind = TraceFilter::Kind::kFlow},
                                 {.kind = TraceFilter::Kind::kRequest,
                                  .pod = "a",
                                  .ns = "b",
                                  .process = "/bin/c d&e=f%",
                                  .verdict = "direct"},
                                 {.process = "\xc3\xa9+\n"}};
  for (const auto& filter : filters) {
    const auto target = to_target(filter);
    EXPECT_EQ(target.find(' '), std::string::npos);
    const auto question = std::min(target.find('?'), target.size() - 1);
    const auto parsed = parse_trace_query(std::string_view{target}.substr(
        target.find('?') == std::string::npos ? target.size() : question + 1));
    ASSERT_TRUE(parsed) << target;
    EXPECT_EQ(to_target(*parsed), target);
    EXPECT_EQ(parsed->process, filter.process);
  }
}

TEST(TraceQuery, RefusesWhatItDoesNotKnow) {
  for (const char* bad : {"kind=x", "colour=red", "pod=%", "pod=%1", "pod=%zz", "=x"}) {
    EXPECT_FALSE(parse_trace_query(bad)) << bad;
  }
  EXPECT_TRUE(parse_trace_query("&&pod=a&"));
}

}  // namespace
}  // namespace holdfast::admin
