#include "agent/namespaces.h"

#include <gtest/gtest.h>

#include <set>

namespace holdfast::agent {
namespace {

using namespace std::chrono_literals;
using kernel::CircuitKey;
using kernel::Judgement;
using kernel::NetnsVerdict;
using kernel::Reach;
using Standing = Namespaces::Standing;
using Cookie = kernel::NetnsCookie;

constexpr Cookie kPod{1}, kOther{2}, kThird{3};
constexpr CircuitKey kCircuit{.netns_cookie = kPod, .cgroup_id = kernel::CgroupId{7}};

Judgement judged(NetnsVerdict verdict) {
  return {.verdict = verdict, .listener = Reach::kConnected, .target = Reach::kConnected};
}
const Judgement kAdmits = judged(NetnsVerdict::kAdmitted);
const Judgement kDenies = judged(NetnsVerdict::kDenied);
const Judgement kReached = judged(NetnsVerdict::kUnknown);  // the target was not tried: offline
const Judgement kIsolates{.verdict = NetnsVerdict::kIsolated, .listener = Reach::kTimedOut};

class NamespacesTest : public testing::Test {
 protected:
  void saw(Cookie cookie, pid_t pid = 100, std::uint64_t inode = 4026532000) {
    EXPECT_TRUE(names_.saw(cookie, {.pid = pid, .inode = inode, .original = {}}, now_));
  }
  /// Time passes as it does for the agent: a tick each second.
  void pass(std::chrono::seconds time, bool online = true) {
    for (auto t = 0s; t < time; t += 1s) {
      now_ += 1s;
      names_.tick(now_, online);
    }
  }
  /// The one that is handed out now; 0: none.
  std::uint64_t next() {
    const auto job = names_.next(now_);
    return job ? static_cast<std::uint64_t>(job->cookie) : 0;
  }
  Namespaces::Outcome settle(Cookie cookie, std::optional<Judgement> judgement) {
    return names_.settle(cookie, judgement, now_);
  }
  void judge(Cookie cookie, std::optional<Judgement> judgement) {
    ASSERT_EQ(next(), static_cast<std::uint64_t>(cookie));
    settle(cookie, judgement);
  }
  void known(Cookie cookie, const Judgement& judgement) {
    saw(cookie);
    judge(cookie, judgement);
  }

  std::set<pid_t> gone_;
  Namespaces names_{[this](pid_t pid) { return !gone_.contains(pid); }};
  Namespaces::Time now_ = Namespaces::Time{} + 1h;
};

TEST_F(NamespacesTest, OneThatIsSeenIsJudgedAtOnce) {
  EXPECT_EQ(names_.verdict(kPod), NetnsVerdict::kUnknown);
  EXPECT_EQ(next(), 0u);
  saw(kPod);
  EXPECT_FALSE(names_.settled(kPod));
  judge(kPod, kAdmits);
  EXPECT_EQ(names_.verdict(kPod), NetnsVerdict::kAdmitted);
  EXPECT_TRUE(names_.settled(kPod));
  saw(kPod);
  EXPECT_EQ(next(), 0u) << "what is known is not asked for again";
}

TEST_F(NamespacesTest, AJudgementThatCouldNotBeMadeIsRepeatedOnceASecond) {
  saw(kPod);
  judge(kPod, std::nullopt);
  // Also without another connection: one without a tag waits for this.
  EXPECT_EQ(next(), 0u);
  saw(kPod, 101);
  EXPECT_EQ(next(), 0u);
  EXPECT_EQ(names_.next_due(), now_ + 1s);
  now_ += 1s;
  judge(kPod, std::nullopt);
  now_ += 1s;
  judge(kPod, kAdmits);
  EXPECT_EQ(names_.verdict(kPod), NetnsVerdict::kAdmitted);
}

TEST_F(NamespacesTest, NobodyIsAskedForAnyLonger) {
  saw(kPod);
  judge(kPod, std::nullopt);
  now_ += 30s;
  judge(kPod, std::nullopt);
  EXPECT_EQ(names_.next_due(), std::nullopt);
  now_ += 1s;
  saw(kPod);
  EXPECT_EQ(next(), 1u);
}

TEST_F(NamespacesTest, NewOnesComeFirst) {
  known(kPod, kAdmits);
  known(kOther, kAdmits);
  pass(61s);
  saw(kThird);
  EXPECT_EQ(next(), 3u);
  EXPECT_TRUE(names_.probe({.netns_cookie = kOther, .cgroup_id = {}}, now_));
  EXPECT_EQ(next(), 2u);
  EXPECT_EQ(next(), 1u);
  EXPECT_EQ(next(), 0u) << "each is handed out once";
}

TEST_F(NamespacesTest, RepeatsAreSpread) {
  constexpr std::uint64_t kMany = 300;
  for (std::uint64_t i = 1; i <= kMany; ++i) saw(Cookie{i});
  while (const auto cookie = next()) settle(Cookie{cookie}, kAdmits);
  std::size_t most = 0, total = 0;
  for (int second = 0; second < 120; ++second) {
    pass(1s);
    std::size_t count = 0;
    while (const auto cookie = next()) {
      settle(Cookie{cookie}, kAdmits);
      ++count;
    }
    most = std::max(most, count);
    total += count;
  }
  EXPECT_LE(most, 11u);
  EXPECT_GE(total, kMany) << "but all of them within the next minute";
}

TEST_F(NamespacesTest, OfflineTheLastVerdictHolds) {
  known(kPod, kDenies);
  pass(300s, false);
  EXPECT_EQ(next(), 0u);
  EXPECT_EQ(names_.verdict(kPod), NetnsVerdict::kDenied);
  pass(1s);
  EXPECT_EQ(next(), 1u);
}

TEST_F(NamespacesTest, AnIsolatedOneIsTriedAgainEverMoreSeldom) {
  known(kPod, kIsolates);
  EXPECT_EQ(names_.verdict(kPod), NetnsVerdict::kIsolated);
  for (const auto pause : {10s, 20s, 40s, 80s, 160s, 300s, 300s}) {
    pass(pause - 1s);
    EXPECT_EQ(next(), 0u);
    pass(1s);
    const auto job = names_.next(now_);
    ASSERT_TRUE(job);
    EXPECT_TRUE(job->isolated);
    settle(kPod, kIsolates);
  }
}

TEST_F(NamespacesTest, AnIsolatedOneHealsOffline) {
  known(kPod, kAdmits);
  pass(60s);
  judge(kPod, kIsolates);
  pass(10s, false);
  ASSERT_EQ(next(), 1u);
  const auto outcome = settle(kPod, kReached);
  EXPECT_TRUE(outcome.changed);
  // What the policy said last is in force again.
  EXPECT_EQ(outcome.verdict, NetnsVerdict::kAdmitted);
}

TEST_F(NamespacesTest, HealingWidensNothing) {
  known(kPod, kDenies);
  pass(60s);
  judge(kPod, kIsolates);
  pass(10s, false);
  judge(kPod, kReached);
  EXPECT_EQ(names_.verdict(kPod), NetnsVerdict::kDenied);
  known(kOther, kIsolates);
  pass(10s, false);
  judge(kOther, kReached);
  EXPECT_EQ(names_.verdict(kOther), NetnsVerdict::kUnknown);
}

TEST_F(NamespacesTest, AnAdmittedOneIsDeniedTwiceBeforeItIsBelieved) {
  known(kPod, kAdmits);
  pass(60s);
  judge(kPod, kDenies);
  EXPECT_EQ(names_.verdict(kPod), NetnsVerdict::kAdmitted);
  now_ += 1s;
  judge(kPod, kAdmits);  // a lost SYN
  pass(60s);
  judge(kPod, kDenies);
  EXPECT_EQ(names_.verdict(kPod), NetnsVerdict::kAdmitted);
  now_ += 1s;
  judge(kPod, kDenies);
  EXPECT_EQ(names_.verdict(kPod), NetnsVerdict::kDenied);
  known(kOther, kDenies);
  EXPECT_EQ(names_.verdict(kOther), NetnsVerdict::kDenied) << "a new one at once";
}

TEST_F(NamespacesTest, OneThatCannotBeEnteredKeepsItsVerdictAndIsForgottenByAge) {
  known(kPod, kAdmits);
  for (int minute = 1; minute < 10; ++minute) {
    pass(60s);
    judge(kPod, std::nullopt);
    EXPECT_EQ(names_.verdict(kPod), NetnsVerdict::kAdmitted);
  }
  pass(60s);
  ASSERT_EQ(next(), 1u);
  EXPECT_TRUE(settle(kPod, std::nullopt).forgotten);
  EXPECT_EQ(names_.size(), 0u);
}

TEST_F(NamespacesTest, OfflineItIsForgottenToo) {
  known(kPod, kAdmits);
  pass(599s, false);
  EXPECT_EQ(next(), 0u);
  pass(1s, false);
  ASSERT_EQ(next(), 1u);
  EXPECT_FALSE(settle(kPod, kReached).forgotten) << "it still exists";
  pass(60s, false);
  ASSERT_EQ(next(), 1u);
  EXPECT_TRUE(settle(kPod, std::nullopt).forgotten);
}

TEST_F(NamespacesTest, AProbeOfACircuitIsReportedOnce) {
  EXPECT_FALSE(names_.probe(kCircuit, now_));
  known(kPod, kAdmits);
  EXPECT_TRUE(names_.probe(kCircuit, now_));
  EXPECT_TRUE(names_.probe(kCircuit, now_));
  ASSERT_EQ(next(), 1u);
  EXPECT_EQ(settle(kPod, kAdmits).circuits, std::vector{kCircuit});
  pass(60s);
  ASSERT_EQ(next(), 1u);
  EXPECT_TRUE(settle(kPod, kAdmits).circuits.empty());
}

TEST_F(NamespacesTest, TheNamespaceIsRememberedWhenItsProcessIsNot) {
  saw(kPod, 100, 4026532000);
  EXPECT_TRUE(names_.has_inode(kPod));
  saw(kPod, 101, 0);  // gone before it could be looked at
  const auto job = names_.next(now_);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->place.pid, 101);
  EXPECT_EQ(job->place.inode, 4026532000u);
}

TEST_F(NamespacesTest, AnAddressStandsForWhoeverHasIt) {
  const auto address = Endpoint::v4(0x0a000001, 1234), later = Endpoint::v4(0x0a000001, 4321);
  EXPECT_EQ(names_.behind(address), Standing::kUnjudged);
  saw(kPod, 100);
  names_.locate(kPod, address);
  EXPECT_EQ(names_.behind(later), Standing::kUnjudged);
  judge(kPod, kIsolates);
  EXPECT_EQ(names_.behind(later), Standing::kRefused);
  pass(10s);
  judge(kPod, kAdmits);
  EXPECT_EQ(names_.behind(later), Standing::kAdmitted);
  gone_.insert(100);
  EXPECT_EQ(names_.behind(later), Standing::kUnjudged) << "it may be another pod's by now";
}

TEST_F(NamespacesTest, TheirNumberIsBounded) {
  for (std::uint64_t i = 1; i <= Namespaces::kMost; ++i) saw(Cookie{i});
  EXPECT_FALSE(names_.saw(Cookie{Namespaces::kMost + 1}, {}, now_));
  EXPECT_TRUE(names_.saw(kPod, {}, now_));
}

}  // namespace
}  // namespace holdfast::agent
