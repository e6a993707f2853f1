#include <gtest/gtest.h>

#include "holdfast/kernel/netns.h"

namespace holdfast::kernel {
namespace {

TEST(VerdictTest, FollowsFromThreeHandshakes) {
  struct Case {
    Reach listener, target, from_host;
    NetnsVerdict verdict;
  };
  const Case cases[] = {
      {Reach::kConnected, Reach::kConnected, Reach::kNotTried, NetnsVerdict::kAdmitted},
      {Reach::kConnected, Reach::kRefused, Reach::kConnected, NetnsVerdict::kDenied},
      {Reach::kConnected, Reach::kTimedOut, Reach::kConnected, NetnsVerdict::kDenied},
      {Reach::kConnected, Reach::kUnreachable, Reach::kConnected, NetnsVerdict::kDenied},
      // The link is down for everyone: no verdict.
      {Reach::kConnected, Reach::kTimedOut, Reach::kTimedOut, NetnsVerdict::kUnknown},
      {Reach::kConnected, Reach::kRefused, Reach::kUnreachable, NetnsVerdict::kUnknown},
      {Reach::kConnected, Reach::kNotTried, Reach::kNotTried, NetnsVerdict::kUnknown},
      {Reach::kRefused, Reach::kNotTried, Reach::kNotTried, NetnsVerdict::kIsolated},
      {Reach::kTimedOut, Reach::kNotTried, Reach::kNotTried, NetnsVerdict::kIsolated},
  };
  for (const auto& c : cases)
    EXPECT_EQ(verdict_of(c.listener, c.target, c.from_host), c.verdict)
        << static_cast<int>(c.listener) << ' ' << static_cast<int>(c.target) << ' '
        << static_cast<int>(c.from_host);
}

}  // namespace
}  // namespace holdfast::kernel
