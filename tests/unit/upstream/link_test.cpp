#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <vector>

#include "fake_clock.h"
#include "holdfast/upstream/link_monitor.h"
#include "upstream/probe.h"

namespace holdfast::upstream {
namespace {

using namespace std::chrono_literals;

class LinkTest : public testing::Test {
 protected:
  void make(LinkOptions options) { link_ = LinkMonitor::create(options, clock_); }
  void advance(std::chrono::milliseconds by) {
    clock_.advance(by);
    link_->tick();
  }

  FakeClock clock_;
  std::shared_ptr<LinkMonitor> link_ = LinkMonitor::create({.servers = 1}, clock_);
};

TEST_F(LinkTest, StartsSuspectAndGoesOfflineInSilence) {
  EXPECT_EQ(link_->state(), Link::kSuspect);
  EXPECT_EQ(link_->snapshot().cause, LinkCause::kStart);
  EXPECT_FALSE(link_->snapshot().last_online);
  advance(2999ms);
  EXPECT_EQ(link_->state(), Link::kSuspect);
  advance(1ms);
  EXPECT_EQ(link_->state(), Link::kOffline);
  EXPECT_EQ(link_->snapshot().cause, LinkCause::kSilence);
  EXPECT_EQ(link_->snapshot().generation, 0u);
}

TEST_F(LinkTest, AByteMakesItOnline) {
  link_->progress(0);
  EXPECT_EQ(link_->state(), Link::kOnline);
  EXPECT_EQ(link_->snapshot().generation, 1u);
  EXPECT_EQ(link_->snapshot().transitions, 1u);
  EXPECT_EQ(link_->snapshot().last_online, clock_.wall());
  advance(1h);  // silence alone is no sign while nobody asks
  EXPECT_EQ(link_->state(), Link::kOnline);
}

TEST_F(LinkTest, PatienceMakesItSuspectThenAByteOrSilenceDecides) {
  link_->progress(0);
  link_->patience_expired();
  EXPECT_EQ(link_->state(), Link::kSuspect);
  advance(2s);
  link_->patience_expired();  // does not start anew
  link_->progress(0);
  EXPECT_EQ(link_->state(), Link::kOnline);
  EXPECT_EQ(link_->snapshot().generation, 2u);

  const auto up = clock_.wall();
  link_->patience_expired();
  advance(2s);
  link_->patience_expired();
  advance(1s);
  EXPECT_EQ(link_->state(), Link::kOffline);
  EXPECT_EQ(link_->snapshot().last_online, up);
  link_->patience_expired();
  EXPECT_EQ(link_->state(), Link::kOffline);
}

TEST_F(LinkTest, ALateServerIsNoSuspicionWhileAnotherSpeaks) {
  link_ = LinkMonitor::create({.servers = 2}, clock_);
  link_->progress(0);
  link_->progress(1);
  link_->late(0);
  EXPECT_EQ(link_->state(), Link::kOnline);
  advance(16s);  // too long ago to vouch
  link_->late(0);
  EXPECT_EQ(link_->state(), Link::kSuspect);
}

TEST_F(LinkTest, EachServersHealthIsItsOwn) {
  link_ = LinkMonitor::create({.servers = 2}, clock_);
  link_->ping_ok(0, 10ms);
  link_->ping_ok(1, 30ms);
  EXPECT_EQ(link_->health(0).srtt, 10ms);
  EXPECT_EQ(link_->health(1).srtt, 30ms);
  link_->connect_failed(1, ConnectFailure::kRefused);
  EXPECT_FALSE(link_->health(0).failing);
  EXPECT_TRUE(link_->health(1).failing);
  link_->progress(1);
  EXPECT_FALSE(link_->health(1).failing);
  EXPECT_FALSE(link_->health(1000).failing);
}

TEST_F(LinkTest, RefusalIsDecisiveAtOnce) {
  link_->progress(0);
  link_->connect_failed(0, ConnectFailure::kRefused);
  EXPECT_EQ(link_->state(), Link::kOffline);
  EXPECT_EQ(link_->snapshot().cause, LinkCause::kAllRefused);
}

TEST_F(LinkTest, OtherFailuresOnlyMakeItSuspect) {
  for (const auto failure : {ConnectFailure::kTimeout, ConnectFailure::kReset}) {
    link_->progress(0);
    link_->connect_failed(0, failure);
    EXPECT_EQ(link_->state(), Link::kSuspect);
    EXPECT_EQ(link_->snapshot().cause, LinkCause::kConnect);
  }
  link_->progress(0);
  link_->ping_failed(0);
  EXPECT_EQ(link_->state(), Link::kSuspect);
  EXPECT_EQ(link_->snapshot().cause, LinkCause::kPing);
}

TEST_F(LinkTest, AProbesAnswerBringsItBack) {
  link_->connect_failed(0, ConnectFailure::kRefused);
  ASSERT_EQ(link_->state(), Link::kOffline);
  advance(10s);
  link_->probe_ok(0);
  EXPECT_EQ(link_->state(), Link::kOnline);
  EXPECT_EQ(link_->snapshot().cause, LinkCause::kProbe);
  EXPECT_EQ(link_->snapshot().generation, 1u);
}

TEST_F(LinkTest, BytesFromBeforeTheCutChangeNothing) {
  link_->progress(0);
  clock_.advance(1s);
  const auto before = clock_.now();
  clock_.advance(100ms);
  link_->connect_failed(0, ConnectFailure::kRefused);
  link_->progress(0, before);  // read from the connection only now
  EXPECT_EQ(link_->state(), Link::kOffline);
  link_->progress(0, clock_.now());
  EXPECT_EQ(link_->state(), Link::kOnline);
}

TEST_F(LinkTest, AHealthyServerVouchesForTheLink) {
  make({.servers = 2});
  link_->progress(0);
  link_->progress(1);
  link_->connect_failed(1, ConnectFailure::kRefused);
  EXPECT_EQ(link_->state(), Link::kOnline);
  link_->connect_failed(0, ConnectFailure::kTimeout);
  EXPECT_EQ(link_->state(), Link::kSuspect);
  link_->connect_failed(0, ConnectFailure::kRefused);
  EXPECT_EQ(link_->state(), Link::kOffline);
  link_->progress(1);
  EXPECT_EQ(link_->state(), Link::kOnline);
  advance(16s);  // long ago: no longer a voucher
  link_->ping_failed(0);
  EXPECT_EQ(link_->state(), Link::kSuspect);
}

TEST_F(LinkTest, ServersMayBeReplaced) {
  make({.servers = 2});
  link_->connect_failed(1, ConnectFailure::kRefused);
  link_->set_servers(1);
  link_->connect_failed(1, ConnectFailure::kRefused);  // of the old list
  EXPECT_EQ(link_->state(), Link::kSuspect);
  link_->connect_failed(0, ConnectFailure::kRefused);
  EXPECT_EQ(link_->state(), Link::kOffline);
}

TEST_F(LinkTest, RemembersThePreviousRunAndSmoothsRoundTrips) {
  const auto then = clock_.wall() - 1h;
  make({.servers = 1, .last_online = then});
  EXPECT_EQ(link_->snapshot().last_online, then);
  link_->ping_ok(0, 80ms);
  EXPECT_EQ(link_->state(), Link::kOnline);
  EXPECT_EQ(link_->snapshot().srtt, 80ms);
  link_->ping_ok(0, 160ms);
  EXPECT_EQ(link_->snapshot().srtt, 90ms);
}

TEST_F(LinkTest, SubscribersGetTransitionsInOrderOnTheirExecutor) {
  boost::asio::io_context io;
  std::vector<Link> seen;
  auto subscription = link_->subscribe(
      io.get_executor(), [&seen](LinkTransition change) { seen.push_back(change.to); });
  link_->progress(0);
  link_->patience_expired();
  link_->connect_failed(0, ConnectFailure::kRefused);
  EXPECT_TRUE(seen.empty());
  io.run();
  EXPECT_EQ(seen, (std::vector<Link>{Link::kOnline, Link::kSuspect, Link::kOffline}));
  link_->progress(0);
  subscription.reset();
  io.restart();
  io.run();
  EXPECT_EQ(seen.size(), 3u);
}

TEST(LinkNames, AreWords) {
  EXPECT_STREQ(to_string(Link::kOffline), "offline");
  EXPECT_STREQ(to_string(LinkCause::kAllRefused), "all_refused");
}

class ProbePaceTest : public testing::Test {
 protected:
  bool due(Link state, bool vouched, std::chrono::milliseconds after) {
    now_ += after;
    return pace_.due(state, vouched, now_);
  }
  ProbePace pace_{{.online = 10s, .suspect = 2s, .offline_min = 1s, .offline_max = 10s}};
  SteadyClock::time_point now_{1h};
};

TEST_F(ProbePaceTest, SuspectIsProbedAtOnceThenRegularly) {
  EXPECT_TRUE(due(Link::kSuspect, true, 0ms));
  EXPECT_FALSE(due(Link::kSuspect, true, 1999ms));
  EXPECT_TRUE(due(Link::kSuspect, true, 1ms));
}

TEST_F(ProbePaceTest, OfflineEverMoreSeldom) {
  EXPECT_TRUE(due(Link::kSuspect, false, 0ms));
  EXPECT_FALSE(due(Link::kOffline, false, 100ms));
  for (const auto wait : {1000ms, 2000ms, 4000ms, 8000ms, 10000ms, 10000ms}) {
    EXPECT_FALSE(due(Link::kOffline, false, wait - 1ms)) << wait.count();
    EXPECT_TRUE(due(Link::kOffline, false, 1ms)) << wait.count();
  }
  pace_.hurry();
  EXPECT_TRUE(due(Link::kOffline, false, 0ms));
}

TEST_F(ProbePaceTest, OnlineOnlyWithoutAPingedConnection) {
  EXPECT_TRUE(due(Link::kOnline, false, 0ms));
  EXPECT_FALSE(due(Link::kOnline, false, 9999ms));
  EXPECT_TRUE(due(Link::kOnline, false, 1ms));
  EXPECT_FALSE(due(Link::kOnline, true, 1h));
  EXPECT_FALSE(due(Link::kOnline, false, 9999ms));
  EXPECT_TRUE(due(Link::kOnline, false, 1ms));
}

}  // namespace
}  // namespace holdfast::upstream
