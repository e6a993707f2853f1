#include "lease/book.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "holdfast/telemetry/time_text.h"
#include "unit/upstream/fake_clock.h"

namespace holdfast::lease {
namespace {

using namespace std::chrono_literals;
using Answer = Verdict::Answer;
using config::LeasePolicy;
using kube::Encoding;
using nlohmann::json;

const LeaseKey kKey{.ns = "kube-node-lease", .name = "edge-1"};
const Who kHolder = identity::PrincipalId{.bytes = {1}};
const Who kOther = identity::PrincipalId{.bytes = {2}};

/// A Lease, a holder that renews it every ten seconds, and the API server that it talks to.
class BookTest : public testing::Test {
 protected:
  BookTest() { server_takes(renewal()); }

  std::string renewal(const std::string& holder = "edge-1") {
    return json{{"kind", "Lease"},
                {"apiVersion", "coordination.k8s.io/v1"},
                {"metadata",
                 {{"name", "edge-1"},
                  {"uid", "u1"},
                  {"resourceVersion", std::to_string(holders_version_)}}},
                {"spec",
                 {{"holderIdentity", holder},
                  {"leaseDurationSeconds", 40},
                  {"renewTime", telemetry::to_rfc3339(clock_.wall())}}}}
        .dump();
  }
  static LeaseObject parse(const std::string& body) {
    return parse_lease(Encoding::kJson, body).value();
  }
  std::string at_version(const std::string& body, kube::ResourceVersion version) {
    return with_resource_version(Encoding::kJson, body, version).value();
  }
  /// The API server answers the holder's own PUT.
  void server_takes(const std::string& body) {
    const auto real = at_version(body, ++server_version_);
    holders_version_ = server_version_;
    book_.written(kKey, parse(real), Encoding::kJson, real, kHolder);
  }
  Verdict put(LeasePolicy policy, bool online, Who who = kHolder) {
    return book_.put(kKey, parse(renewal()), who, {policy, 25s}, online);
  }
  /// The holder renews; true when it was acknowledged here.
  bool renews(LeasePolicy policy, bool online) {
    const auto body = renewal();
    const auto verdict = book_.put(kKey, parse(body), kHolder, {policy, 25s}, online);
    if (verdict.answer == Answer::kForward) {
      server_takes(body);
      book_.ended(kKey);
    }
    if (verdict.answer != Answer::kAcknowledge) return false;
    book_.acknowledged(kKey, parse(body), {.connection = connection_, .thread = this},
                       {policy, 25s});
    if (verdict.resource_version != 0) holders_version_ = verdict.resource_version;
    return true;
  }
  /// The holder's PUT was sent, and its connection broke before an answer came.
  void breaks(const std::string& body) {
    const auto delivery = book_.orphaned(kKey, parse(body));
    book_.ended(kKey);
    book_.undelivered(delivery, Undelivered::kUnanswered);
  }
  std::vector<Delivery> due() { return book_.due(this); }
  void deliver(const Delivery& delivery) {
    const auto real = at_version(delivery.body, ++server_version_);
    book_.delivered(delivery, parse(real), Encoding::kJson, real);
  }

  upstream::FakeClock clock_;
  Book book_{clock_};
  std::shared_ptr<int> connection_ = std::make_shared<int>();
  kube::ResourceVersion server_version_ = 100, holders_version_ = 100;
};

TEST_F(BookTest, ForwardNeverAcknowledges) {
  clock_.advance(10s);
  EXPECT_EQ(put(LeasePolicy::kForward, true).answer, Answer::kForward);
  EXPECT_EQ(put(LeasePolicy::kForward, false).answer, Answer::kRefuse);
}

TEST_F(BookTest, HoldAcknowledgesOfflineOnly) {
  clock_.advance(10s);
  EXPECT_EQ(put(LeasePolicy::kHold, true).answer, Answer::kForward);
  EXPECT_EQ(put(LeasePolicy::kHold, false).answer, Answer::kAcknowledge);
}

TEST_F(BookTest, LocalNeverGoesUp) {
  for (int i = 0; i < 20; ++i) {
    clock_.advance(10s);
    EXPECT_TRUE(renews(LeasePolicy::kLocal, i % 2 == 0));
    EXPECT_TRUE(due().empty());
  }
}

TEST_F(BookTest, OnlyAPlainRenewalIsAcknowledged) {
  clock_.advance(10s);
  const auto asks = [this](const std::string& body, Who who = kHolder) {
    return book_.put(kKey, parse(body), who, {LeasePolicy::kHold, 25s}, false).answer;
  };
  EXPECT_EQ(asks(renewal("someone-else")), Answer::kRefuse);
  EXPECT_EQ(asks(at_version(renewal(), 99)), Answer::kRefuse);
  EXPECT_EQ(asks(at_version(renewal(), 0)), Answer::kRefuse);
  EXPECT_EQ(asks(renewal(), kOther), Answer::kRefuse);
  EXPECT_EQ(asks(renewal(), std::nullopt), Answer::kRefuse);
  auto recreated = json::parse(renewal());
  recreated["metadata"]["uid"] = "u2";
  EXPECT_EQ(asks(recreated.dump()), Answer::kRefuse);
  auto earlier = json::parse(renewal());
  earlier["spec"]["renewTime"] = telemetry::to_rfc3339(clock_.wall() - 1h);
  EXPECT_EQ(asks(earlier.dump()), Answer::kRefuse);
  EXPECT_EQ(book_
                .put({.ns = "x", .name = "y"}, parse(renewal()), kHolder,
                     {LeasePolicy::kLocal, 25s}, false)
                .answer,
            Answer::kRefuse);
  EXPECT_EQ(asks(renewal()), Answer::kAcknowledge);
}

TEST_F(BookTest, WhatWasHeldGoesUpAtReconnectAndTheHolderGoesOn) {
  for (int i = 0; i < 3; ++i) {
    clock_.advance(10s);
    ASSERT_TRUE(renews(LeasePolicy::kHold, false));
  }
  clock_.advance(4s);
  const auto deliveries = due();
  ASSERT_EQ(deliveries.size(), 1u);
  EXPECT_EQ(parse(deliveries[0].body).resource_version, 101u);
  EXPECT_EQ(*parse(deliveries[0].body).renewed, clock_.wall() - 4s);
  EXPECT_TRUE(due().empty()) << "it is under way";
  deliver(deliveries[0]);
  EXPECT_TRUE(due().empty());
  // The holder still has the version before: what it sends is based on its own renewal.
  clock_.advance(6s);
  const auto verdict = put(LeasePolicy::kHold, true);
  EXPECT_EQ(verdict.answer, Answer::kForward);
  EXPECT_EQ(verdict.resource_version, 102u);
  ASSERT_TRUE(renews(LeasePolicy::kHold, false));
  EXPECT_EQ(holders_version_, 102u) << "the last real one is echoed";
}

TEST_F(BookTest, NothingIsSentTwiceAtOnce) {
  clock_.advance(10s);
  ASSERT_TRUE(renews(LeasePolicy::kHold, false));
  const auto deliveries = due();
  ASSERT_EQ(deliveries.size(), 1u);
  // The holder renews while what was held is on its way.
  clock_.advance(10s);
  EXPECT_TRUE(renews(LeasePolicy::kHold, true));
  EXPECT_TRUE(
      book_.put(kKey, parse(renewal("someone-else")), kHolder, {LeasePolicy::kHold, 25s}, true)
          .wait);
  deliver(deliveries[0]);
  EXPECT_EQ(due().size(), 1u) << "the newer one is next";
}

TEST_F(BookTest, WhatIsHeldWaitsForTheHoldersOwnPut) {
  clock_.advance(10s);
  ASSERT_TRUE(renews(LeasePolicy::kHold, false));
  EXPECT_EQ(put(LeasePolicy::kHold, true).answer, Answer::kForward);
  EXPECT_TRUE(due().empty());
  book_.ended(kKey);
  EXPECT_EQ(due().size(), 1u);
}

TEST_F(BookTest, ADeadHolderStaysDead) {
  clock_.advance(10s);
  ASSERT_TRUE(renews(LeasePolicy::kHold, false));
  connection_.reset();
  EXPECT_TRUE(due().empty()) << "its connection is gone";
  connection_ = std::make_shared<int>();
  EXPECT_TRUE(due().empty()) << "and what it held with it";
}

TEST_F(BookTest, AHolderThatIsSilentStaysDead) {
  clock_.advance(10s);
  ASSERT_TRUE(renews(LeasePolicy::kHold, false));
  clock_.advance(10s);
  ASSERT_TRUE(renews(LeasePolicy::kHold, false));
  clock_.advance(11s);
  EXPECT_TRUE(due().empty());
}

TEST_F(BookTest, CoalesceSendsOneRenewalAnInterval) {
  int sent = 0;
  auto last = clock_.now();
  for (int i = 0; i < 250; ++i) {
    clock_.advance(1s);
    if (i % 10 == 9) {
      const auto before = server_version_;
      renews(LeasePolicy::kCoalesce, true);
      if (server_version_ != before) ++sent, last = clock_.now();
    }
    for (const auto& delivery : due()) deliver(delivery), ++sent, last = clock_.now();
    EXPECT_LE(clock_.now() - last, 30s);
  }
  EXPECT_GE(sent, 8);
  EXPECT_LE(sent, 10) << "of 25 renewals";
}

TEST_F(BookTest, CoalesceStaysInsideTheDuration) {
  clock_.advance(10s);
  EXPECT_TRUE(renews(LeasePolicy::kCoalesce, true));
  clock_.advance(18s);
  const auto verdict =
      book_.put(kKey, parse(renewal()), kHolder, {LeasePolicy::kCoalesce, 1h}, true);
  EXPECT_EQ(verdict.answer, Answer::kForward) << "28 s of 40 are over";
}

TEST_F(BookTest, ARefusalReachesTheHolderAtItsNextRenewal) {
  clock_.advance(10s);
  ASSERT_TRUE(renews(LeasePolicy::kHold, false));
  const auto deliveries = due();
  ASSERT_EQ(deliveries.size(), 1u);
  book_.undelivered(deliveries[0], Undelivered::kRefused);
  EXPECT_TRUE(due().empty());
  clock_.advance(10s);
  const auto verdict = put(LeasePolicy::kLocal, true);
  EXPECT_EQ(verdict.answer, Answer::kForward);
  EXPECT_EQ(verdict.resource_version, 0u) << "as the holder wrote it";
}

TEST_F(BookTest, WhatCouldNotBeSentIsTriedAgainWhileItIsYoung) {
  clock_.advance(10s);
  ASSERT_TRUE(renews(LeasePolicy::kHold, false));
  book_.undelivered(due().at(0), Undelivered::kLater);
  EXPECT_TRUE(due().empty());
  clock_.advance(1s);
  EXPECT_EQ(due().size(), 1u);
}

TEST_F(BookTest, AnUnansweredRenewalIsAskedAbout) {
  clock_.advance(10s);
  const auto body = renewal();
  ASSERT_EQ(book_.put(kKey, parse(body), kHolder, {LeasePolicy::kHold, 25s}, true).answer,
            Answer::kForward);
  breaks(body);
  EXPECT_TRUE(put(LeasePolicy::kHold, true).ask_first);
  // It had been taken: the next one is based on it, without a conflict and with nobody to blame.
  const auto real = at_version(body, ++server_version_);
  EXPECT_EQ(book_.observed(kKey, parse(real), Encoding::kJson, real, std::nullopt), Foreign::kNone);
  const auto verdict = put(LeasePolicy::kHold, true);
  EXPECT_FALSE(verdict.ask_first);
  EXPECT_EQ(verdict.resource_version, server_version_);
}

TEST_F(BookTest, AnswersThatComeLateCount) {
  clock_.advance(10s);
  const auto body = renewal();
  ASSERT_EQ(put(LeasePolicy::kHold, true).answer, Answer::kForward);
  const auto delivery = book_.orphaned(kKey, parse(body));
  book_.ended(kKey);
  EXPECT_TRUE(put(LeasePolicy::kForward, true).wait) << "it may still be carried out";
  const auto real = at_version(body, ++server_version_);
  book_.delivered(delivery, parse(real), Encoding::kJson, real);
  clock_.advance(10s);
  EXPECT_EQ(put(LeasePolicy::kForward, true).resource_version, server_version_);
}

TEST_F(BookTest, AnUnansweredRenewalThatNeverArrivedIsForgotten) {
  clock_.advance(10s);
  breaks(renewal());
  const auto real = at_version(renewal(), server_version_);
  EXPECT_EQ(book_.observed(kKey, parse(real), Encoding::kJson, real, std::nullopt), Foreign::kNone);
  const auto verdict = put(LeasePolicy::kHold, true);
  EXPECT_FALSE(verdict.ask_first);
  EXPECT_EQ(verdict.resource_version, 0u);
}

TEST_F(BookTest, AForeignWriterIsNoticedByItsConflict) {
  clock_.advance(10s);
  EXPECT_EQ(book_.conflict(kKey, holders_version_), Foreign::kFirst);
  EXPECT_EQ(book_.contested(), std::vector<LeaseKey>{kKey});
  // The holder reads and writes again, as client-go does, and meets the next conflict.
  const auto theirs = at_version(renewal("edge-1"), server_version_ += 2);
  EXPECT_EQ(book_.observed(kKey, parse(theirs), Encoding::kJson, theirs, kHolder), Foreign::kNone);
  holders_version_ = server_version_;
  EXPECT_EQ(put(LeasePolicy::kHold, false).answer, Answer::kAcknowledge);
  EXPECT_EQ(book_.conflict(kKey, holders_version_), Foreign::kAgain);
}

TEST_F(BookTest, AConflictOfAnOldVersionAccusesNobody) {
  EXPECT_EQ(book_.conflict(kKey, holders_version_ - 1), Foreign::kNone);
}

TEST_F(BookTest, AForeignWriterIsNoticedByWhatTheHolderIsShown) {
  clock_.advance(10s);
  ASSERT_TRUE(renews(LeasePolicy::kLocal, true));
  const auto theirs = at_version(renewal("someone-else"), server_version_ += 1);
  EXPECT_EQ(book_.observed(kKey, parse(theirs), Encoding::kJson, theirs, kHolder), Foreign::kFirst);
  EXPECT_FALSE(book_.view(kKey, kHolder)->acknowledged);
}

TEST_F(BookTest, OnlyTheHolderSeesWhatWasAcknowledged) {
  EXPECT_FALSE(book_.view(kKey, kHolder)->acknowledged);
  clock_.advance(10s);
  ASSERT_TRUE(renews(LeasePolicy::kLocal, true));
  EXPECT_EQ(book_.view(kKey, kHolder)->acknowledged, clock_.wall());
  EXPECT_FALSE(book_.view(kKey, kOther));
  EXPECT_FALSE(book_.view(kKey, std::nullopt));
  EXPECT_EQ(book_.holder(kKey), "edge-1");
}

TEST_F(BookTest, APatchLeavesAnAcknowledgedRenewalInForce) {
  clock_.advance(10s);
  ASSERT_TRUE(renews(LeasePolicy::kLocal, true));
  auto patched = json::parse(book_.view(kKey, kHolder)->body);
  patched["metadata"]["labels"]["zone"] = "b";
  const auto real = at_version(patched.dump(), ++server_version_);
  book_.written(kKey, parse(real), Encoding::kJson, real, kHolder);
  EXPECT_EQ(book_.view(kKey, kHolder)->acknowledged, clock_.wall());
}

TEST_F(BookTest, ADeletedLeaseIsForgotten) {
  book_.forget(kKey);
  EXPECT_EQ(put(LeasePolicy::kHold, false).answer, Answer::kRefuse);
  EXPECT_FALSE(book_.view(kKey, kHolder));
}

TEST_F(BookTest, ItsSizeIsBounded) {
  const auto body = at_version(renewal(), 5);
  for (int i = 0; i < 3000; ++i) {
    clock_.advance(1ms);
    book_.written({.ns = "n", .name = std::to_string(i)}, parse(body), Encoding::kJson, body,
                  kHolder);
  }
  EXPECT_FALSE(book_.view({.ns = "n", .name = "0"}, kHolder));
  EXPECT_TRUE(book_.view({.ns = "n", .name = "2999"}, kHolder));
}

}  // namespace
}  // namespace holdfast::lease
