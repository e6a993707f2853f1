#include "holdfast/tls/visits.h"

#include <gtest/gtest.h>

#include <list>
#include <optional>

namespace holdfast::tls {
namespace {

using namespace std::chrono_literals;

class VisitsTest : public testing::Test {
 protected:
  const Visits::Visitor process_{1, Endpoint::v4(0x7f000001, 443)};
  const Visits::Visitor other_{2, Endpoint::v4(0x7f000001, 443)};
  Visits::Time now_ = std::chrono::steady_clock::now();
  Visits visits_;
};

TEST_F(VisitsTest, HangingUpWithoutARequestIsARefusal) {
  for (int i = 0; i < 3; ++i) {
    const Visits::Visit visit{visits_, process_, now_};
    EXPECT_TRUE(visit.is_refusal());
  }
  EXPECT_EQ(visits_.size(), 0u);
}

TEST_F(VisitsTest, ARequestSaysThatItIsNone) {
  Visits::Visit visit{visits_, process_, now_};
  visit.served(now_);
  EXPECT_FALSE(visit.is_refusal());
}

// What Go does with the connections that it dialled for requests which another one could take.
TEST_F(VisitsTest, UnusedConnectionsBesideOneThatIsUsedAreNone) {
  std::list<Visits::Visit> dialled;
  for (int i = 0; i < 5; ++i) dialled.emplace_back(visits_, process_, now_);
  // Before the one that stays has its first request, and after.
  EXPECT_FALSE(dialled.back().is_refusal());
  dialled.pop_back();
  dialled.front().served(now_ + 1ms);
  EXPECT_FALSE(dialled.back().is_refusal());
  dialled.pop_back();
  // Also if that one ends first.
  dialled.pop_front();
  while (!dialled.empty()) {
    EXPECT_FALSE(dialled.back().is_refusal());
    dialled.pop_back();
  }
}

TEST_F(VisitsTest, OfSeveralThatAllHangUpTheLastOneTells) {
  std::list<Visits::Visit> dialled;
  for (int i = 0; i < 3; ++i) dialled.emplace_back(visits_, process_, now_);
  dialled.pop_back();
  dialled.pop_back();
  EXPECT_TRUE(dialled.front().is_refusal());
}

TEST_F(VisitsTest, AnotherProcessIsNoExcuse) {
  Visits::Visit trusting{visits_, other_, now_};
  trusting.served(now_);
  const Visits::Visit pinning{visits_, process_, now_};
  EXPECT_TRUE(pinning.is_refusal());
  EXPECT_EQ(visits_.size(), 2u);
}

TEST_F(VisitsTest, WhatWasServedBeforeIsNoExcuse) {
  std::optional<Visits::Visit> trusting{std::in_place, visits_, process_, now_};
  trusting->served(now_);
  std::optional<Visits::Visit> beside{std::in_place, visits_, process_, now_};
  trusting.reset();
  const Visits::Visit pinning{visits_, process_, std::chrono::steady_clock::now() + 1s};
  beside.reset();
  EXPECT_TRUE(pinning.is_refusal());
}

}  // namespace
}  // namespace holdfast::tls
