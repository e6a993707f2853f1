#include "tls/splice_memory.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "unit/tls/pki.h"

namespace holdfast::tls {
namespace {

using namespace std::chrono_literals;

ClientKey client(std::uint64_t cgroup) {
  return {.cgroup_id = cgroup, .executable = "/bin/app", .target = Endpoint::v4(0x7f000001, 443)};
}

class SpliceMemoryTest : public testing::Test {
 protected:
  test::FakeClock clock_;
  SpliceMemory memory_{clock_};
};

TEST_F(SpliceMemoryTest, UnknownClientsAreTerminated) {
  EXPECT_EQ(memory_.lookup(client(1)), std::nullopt);
}

TEST_F(SpliceMemoryTest, AFailureSplicesThatClientAloneForTenMinutes) {
  memory_.failed(client(1), Reason::kHandshakeFailed);
  EXPECT_EQ(memory_.lookup(client(1)), Reason::kHandshakeFailed);
  EXPECT_EQ(memory_.lookup(client(2)), std::nullopt);
  auto other_target = client(1);
  other_target.target.port = 6443;
  EXPECT_EQ(memory_.lookup(other_target), std::nullopt);
  clock_.advance(10min - 1s);
  EXPECT_EQ(memory_.lookup(client(1)), Reason::kHandshakeFailed);
}

TEST_F(SpliceMemoryTest, OneConnectionReTestsWhileOthersStaySpliced) {
  memory_.failed(client(1), Reason::kHandshakeFailed);
  clock_.advance(10min);
  EXPECT_EQ(memory_.lookup(client(1)), std::nullopt);
  EXPECT_EQ(memory_.lookup(client(1)), Reason::kHandshakeFailed);
  memory_.succeeded(client(1));
  EXPECT_EQ(memory_.lookup(client(1)), std::nullopt);
  EXPECT_EQ(memory_.size(), 0U);
}

TEST_F(SpliceMemoryTest, AReTestThatNeverReportsIsTriedAgain) {
  memory_.failed(client(1), Reason::kHandshakeFailed);
  clock_.advance(10min);
  EXPECT_EQ(memory_.lookup(client(1)), std::nullopt);
  clock_.advance(SpliceMemory::kTrial);
  EXPECT_EQ(memory_.lookup(client(1)), std::nullopt);
}

TEST_F(SpliceMemoryTest, FailedReTestsBackOffToADay) {
  memory_.failed(client(1), Reason::kUnknownClientCert);
  std::chrono::minutes pause = 10min;
  for (int round = 0; round < 12; ++round) {
    clock_.advance(pause - 1s);
    EXPECT_EQ(memory_.lookup(client(1)), Reason::kUnknownClientCert) << round;
    clock_.advance(1s);
    EXPECT_EQ(memory_.lookup(client(1)), std::nullopt) << round;
    memory_.failed(client(1), Reason::kUnknownClientCert);
    pause = std::min<std::chrono::minutes>(pause * 2, 24h);
  }
  EXPECT_EQ(pause, 24h);
}

TEST_F(SpliceMemoryTest, ConnectionsThatFailTogetherCountOnce) {
  memory_.failed(client(1), Reason::kHandshakeFailed);
  memory_.failed(client(1), Reason::kHandshakeFailed);
  memory_.failed(client(1), Reason::kHandshakeFailed);
  clock_.advance(10min);
  EXPECT_EQ(memory_.lookup(client(1)), std::nullopt);
}

TEST_F(SpliceMemoryTest, ASuccessThatBeganBeforeTheFailureForgivesNothing) {
  memory_.failed(client(1), Reason::kHandshakeFailed);
  memory_.succeeded(client(1));
  EXPECT_EQ(memory_.lookup(client(1)), Reason::kHandshakeFailed);
}

TEST_F(SpliceMemoryTest, TheLeastRecentlyUsedIsForgottenFirst) {
  SpliceMemory memory{clock_, 3};
  for (std::uint64_t i = 1; i <= 3; ++i) memory.failed(client(i), Reason::kHandshakeFailed);
  EXPECT_TRUE(memory.lookup(client(1)));
  memory.failed(client(4), Reason::kHandshakeFailed);
  EXPECT_EQ(memory.size(), 3U);
  EXPECT_TRUE(memory.lookup(client(1)));
  EXPECT_FALSE(memory.lookup(client(2)));
  EXPECT_TRUE(memory.lookup(client(4)));
}

TEST_F(SpliceMemoryTest, ManyThreadsMayUseIt) {
  SpliceMemory memory{clock_, 50};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&memory] {
      for (std::uint64_t i = 0; i < 2000; ++i) {
        memory.failed(client(i % 100), Reason::kHandshakeFailed);
        memory.lookup(client((i + 7) % 100));
        memory.succeeded(client((i + 13) % 100));
      }
    });
  }
  threads.clear();
  EXPECT_LE(memory.size(), 50U);
}

}  // namespace
}  // namespace holdfast::tls
