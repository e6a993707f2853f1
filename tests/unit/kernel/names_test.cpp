#include <gtest/gtest.h>

#include <set>
#include <string_view>

#include "holdfast/kernel/flow_event.h"
#include "holdfast/kernel/types.h"

namespace holdfast::kernel {
namespace {

/// Each value up to `count` has a name of its own.
template <class Enum>
void expect_names(int first, int count) {
  std::set<std::string_view> seen;
  for (int value = first; value < count; ++value) {
    const auto name = to_string(static_cast<Enum>(value));
    EXPECT_TRUE(seen.insert(name).second) << name;
    EXPECT_FALSE(name.empty());
  }
}

TEST(NamesTest, EveryValueHasOne) {
  expect_names<Reason>(0, HF_REASON_COUNT);
  expect_names<Failure>(0, HF_FAILURE_COUNT);
  expect_names<Verdict>(0, HF_VERDICT_COUNT);
  expect_names<Action>(HF_ACTION_REDIRECT, HF_ACTION_SPLICE + 1);
  expect_names<NetnsVerdict>(0, HF_NETNS_ISOLATED + 1);
  expect_names<FlowKind>(1, static_cast<int>(FlowKind::kCircuitOpened) + 1);
}

TEST(NamesTest, MetricsKnowTheseVerdicts) {
  EXPECT_EQ(to_string(Verdict::kRedirected), "redirected");
  EXPECT_EQ(to_string(Verdict::kSpliced), "spliced");
  EXPECT_EQ(to_string(Verdict::kDirect), "direct");
}

}  // namespace
}  // namespace holdfast::kernel
