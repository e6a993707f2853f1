#include "tls/splice_memory.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "unit/tls/pki.h"

namespace holdfast::tls {
namespace {

using namespace std::chrono_literals;

ClientKey client(std::uint64_t workload) {
  return {.workload = "pod " + std::to_string(workload),
          .executable = "/bin/app",
          .target = Endpoint::v4(0x7f000001, 443)};
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

TEST_F(SpliceMemoryTest, AnotherRunKnowsWhatThisOneLearned) {
  memory_.failed(client(1), Reason::kHandshakeFailed);
  memory_.failed(client(2), Reason::kUnknownClientCert, "ab12");
  auto unknown = client(3);
  unknown.executable.clear();
  memory_.failed(unknown, Reason::kHandshakeFailed);
  const auto kept = memory_.changes();
  ASSERT_TRUE(kept);
  EXPECT_FALSE(memory_.changes()) << "nothing new";

  clock_.advance(4min);
  SpliceMemory next{clock_};
  next.restore(*kept);
  EXPECT_EQ(next.size(), 2U);
  EXPECT_FALSE(next.changes());
  EXPECT_EQ(next.lookup(client(1)), Reason::kHandshakeFailed);
  EXPECT_EQ(next.lookup(client(2)), Reason::kUnknownClientCert);
  EXPECT_FALSE(next.lookup(unknown));
  EXPECT_TRUE(next.is_spliced(client(2)));
  clock_.advance(6min);
  EXPECT_FALSE(next.is_spliced(client(2)));
  EXPECT_EQ(next.lookup(client(2)), std::nullopt) << "the re-test is due when it was";
  next.failed(client(2), Reason::kUnknownClientCert, "ab12");
  EXPECT_TRUE(next.changes());
}

TEST_F(SpliceMemoryTest, AClockThatWasSetBackProlongsNothing) {
  clock_.advance(24h * 365);
  memory_.failed(client(1), Reason::kHandshakeFailed);
  const auto kept = memory_.changes();
  ASSERT_TRUE(kept);
  test::FakeClock other;  // a year behind
  SpliceMemory next{other};
  next.restore(*kept);
  EXPECT_TRUE(next.is_spliced(client(1)));
  other.advance(10min);
  EXPECT_FALSE(next.is_spliced(client(1)));
}

TEST_F(SpliceMemoryTest, NonsenseIsNotRestored) {
  for (const char* kept :
       {"", "{}", "[1,\"x\",{}]", "nonsense",
        R"([{"workload":"w","executable":"/e","target":"x","reason":"rule"}])",
        R"([{"executable":"/e","target":"1.2.3.4:5","reason":"chain_mismatch"}])"}) {
    memory_.restore(kept);
  }
  EXPECT_EQ(memory_.size(), 0U);
}

TEST_F(SpliceMemoryTest, OnlySoManyAreKeptTheMostRecentOnesFirst) {
  for (std::uint64_t i = 0; i < 2 * SpliceMemory::kKept; ++i) {
    memory_.failed(client(i), Reason::kHandshakeFailed);
  }
  SpliceMemory next{clock_};
  next.restore(*memory_.changes());
  EXPECT_EQ(next.size(), SpliceMemory::kKept);
  EXPECT_TRUE(next.is_spliced(client(2 * SpliceMemory::kKept - 1)));
  EXPECT_FALSE(next.is_spliced(client(0)));
}

TEST_F(SpliceMemoryTest, AKeyThatArrivesForgives) {
  memory_.failed(client(1), Reason::kUnknownClientCert, "ab12");
  memory_.failed(client(2), Reason::kUnknownClientCert, "cd34");
  memory_.failed(client(3), Reason::kHandshakeFailed);
  memory_.forget_certificates([](const std::string& print) { return print == "ab12"; });
  EXPECT_FALSE(memory_.is_spliced(client(1)));
  EXPECT_TRUE(memory_.is_spliced(client(2)));
  EXPECT_TRUE(memory_.is_spliced(client(3)));
}

TEST_F(SpliceMemoryTest, WhoIsSplicedWhyAndUntilWhen) {
  memory_.failed(client(1), Reason::kUnknownClientCert, "ab12");
  clock_.advance(1min);
  memory_.failed(client(2), Reason::kHandshakeFailed);
  const auto list = memory_.spliced();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].client, client(2));
  EXPECT_EQ(list[1].reason, Reason::kUnknownClientCert);
  EXPECT_EQ(list[1].certificate, "ab12");
  EXPECT_EQ(list[1].until, clock_.wall() + 9min);
  clock_.advance(9min);
  EXPECT_EQ(memory_.spliced().size(), 1U);
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
