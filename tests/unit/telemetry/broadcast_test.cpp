#include "holdfast/telemetry/broadcast.h"

#include <gtest/gtest.h>

#include <thread>

namespace holdfast::telemetry {
namespace {

TraceEvent request(int code) {
  RequestEvent event;
  event.code = code;
  return event;
}
int code_of(const SharedEvent& event) {
  return std::get<RequestEvent>(*event).code;
}

TEST(Broadcast, NobodyLooksOn) {
  Broadcast broadcast;
  EXPECT_FALSE(broadcast.wanted());
  broadcast.publish(request(1));
}

TEST(Broadcast, DeliversInOrderAndWakesOnce) {
  Broadcast broadcast;
  int woken = 0;
  const auto subscription = broadcast.subscribe({}, 10, [&] { ++woken; }).value();
  EXPECT_TRUE(broadcast.wanted());
  broadcast.publish(request(1));
  broadcast.publish(request(2));
  EXPECT_EQ(woken, 1);
  const auto batch = subscription->take();
  ASSERT_EQ(batch.events.size(), 2u);
  EXPECT_EQ(code_of(batch.events[0]), 1);
  EXPECT_EQ(code_of(batch.events[1]), 2);
  broadcast.publish(request(3));
  EXPECT_EQ(woken, 2);
}

TEST(Broadcast, ASlowSubscriberLosesAndLearnsHowMuch) {
  Broadcast broadcast;
  const auto slow = broadcast.subscribe({}, 2, {}).value();
  const auto quick = broadcast.subscribe({}, 100, {}).value();
  for (int i = 0; i < 5; ++i) broadcast.publish(request(i));
  auto batch = slow->take();
  EXPECT_EQ(batch.events.size(), 2u);
  EXPECT_EQ(batch.lost, 3u);
  EXPECT_EQ(slow->take().lost, 0u);
  batch = quick->take();
  EXPECT_EQ(batch.events.size(), 5u);
  EXPECT_EQ(batch.lost, 0u);
  EXPECT_EQ(broadcast.lost(), 3u);
}

TEST(Broadcast, FiltersBeforeQueueing) {
  Broadcast broadcast;
  const auto flows = broadcast.subscribe({.kind = TraceFilter::Kind::kFlow}, 1, {}).value();
  broadcast.publish(request(1));
  broadcast.publish(FlowEvent{});
  const auto batch = flows->take();
  ASSERT_EQ(batch.events.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<FlowEvent>(*batch.events[0]));
}

TEST(Broadcast, DroppingTheSubscriptionEndsIt) {
  Broadcast broadcast;
  { const auto gone = broadcast.subscribe({}, 1, {}).value(); }
  broadcast.publish(request(1));
  EXPECT_FALSE(broadcast.wanted());
}

TEST(Broadcast, SubscribersAreBounded) {
  Broadcast broadcast;
  std::vector<std::shared_ptr<Subscription>> all;
  for (std::size_t i = 0; i < Broadcast::kMaxSubscribers; ++i) {
    all.push_back(broadcast.subscribe({}, 1, {}).value());
  }
  EXPECT_EQ(broadcast.subscribe({}, 1, {}).error().code, make_error_code(Errc::kUnavailable));
  all.pop_back();
  EXPECT_TRUE(broadcast.subscribe({}, 1, {}));
}

TEST(Broadcast, ManyThreads) {
  Broadcast broadcast;
  const auto subscription = broadcast.subscribe({}, 1'000'000, {}).value();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1'000; ++i) broadcast.publish(request(i));
    });
  }
  std::size_t seen = 0;
  for (int i = 0; i < 100; ++i) {
    (void)broadcast.subscribe({}, 1, {});
    seen += subscription->take().events.size();
  }
  for (auto& thread : threads) thread.join();
  seen += subscription->take().events.size();
  EXPECT_EQ(seen, 4'000u);
}

}  // namespace
}  // namespace holdfast::telemetry
