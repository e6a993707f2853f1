#include "writes/event_queue.h"

#include <gtest/gtest.h>

namespace holdfast::writes {
namespace {

using Kept = EventQueue::Kept;

const EventQueue::Owner kOne{{1}}, kTwo{{2}};

KeptEvent event(std::string body) {
  return {.body = std::move(body)};
}

class EventQueueTest : public testing::Test {
 protected:
  std::shared_ptr<int> client_ = std::make_shared<int>(), other_ = std::make_shared<int>();
};

TEST_F(EventQueueTest, OwnersTakeTheirOwnInOrder) {
  EventQueue queue;
  EXPECT_EQ(queue.keep(kOne, client_, event("a")), Kept::kFirst);
  EXPECT_EQ(queue.keep(kTwo, other_, event("b")), Kept::kFirst);
  EXPECT_EQ(queue.keep(kOne, client_, event("c")), Kept::kYes);
  EXPECT_EQ(queue.next(kOne)->body, "a");
  EXPECT_EQ(queue.next(kOne)->body, "c");
  EXPECT_FALSE(queue.next(kOne));
  EXPECT_EQ(queue.stats().count, 1u);
  // Nobody sends for it any more: the next one is a first one again.
  EXPECT_EQ(queue.keep(kOne, client_, event("d")), Kept::kFirst);
}

TEST_F(EventQueueTest, WhatCouldNotBeSentComesAgain) {
  EventQueue queue;
  queue.keep(kOne, client_, event("a"));
  queue.keep(kOne, client_, event("b"));
  auto first = queue.next(kOne);
  queue.give_back(kOne, std::move(*first));
  EXPECT_EQ(queue.next(kOne)->body, "a");
  EXPECT_EQ(queue.next(kOne)->body, "b");
}

TEST_F(EventQueueTest, TheOldestMakeRoomAndAreCounted) {
  EventQueue queue{{.count = 2, .bytes = 1 << 20}};
  for (const char* body : {"a", "b", "c"}) queue.keep(kOne, client_, event(body));
  EXPECT_EQ(queue.stats().count, 2u);
  EXPECT_EQ(queue.stats().dropped, 1u);
  EXPECT_EQ(queue.next(kOne)->body, "b");
}

TEST_F(EventQueueTest, BytesAreBounded) {
  const auto cost = event(std::string(1000, 'x')).cost();
  EventQueue queue{{.count = 100, .bytes = 2 * cost}};
  for (int i = 0; i < 3; ++i) queue.keep(kOne, client_, event(std::string(1000, 'x')));
  EXPECT_EQ(queue.stats().count, 2u);
  EXPECT_LE(queue.stats().bytes, 2 * cost);
  EXPECT_EQ(queue.keep(kOne, client_, event(std::string(3 * cost, 'x'))), Kept::kNo);
  EXPECT_EQ(queue.stats().count, 2u);
  while (queue.next(kOne)) {
  }
  EXPECT_EQ(queue.stats().bytes, 0u);
}

TEST_F(EventQueueTest, AnOwnerLivesAsLongAsOneOfItsConnections) {
  EventQueue queue;
  queue.keep(kOne, client_, event("a"));
  queue.keep(kOne, other_, event("b"));
  EXPECT_TRUE(queue.alive(kOne));
  client_.reset();
  EXPECT_TRUE(queue.alive(kOne));
  other_.reset();
  EXPECT_FALSE(queue.alive(kOne));
  EXPECT_FALSE(queue.alive(kTwo));
  EXPECT_EQ(queue.forget(kOne), 2u);
  EXPECT_EQ(queue.stats().count, 0u);
  EXPECT_EQ(queue.stats().bytes, 0u);
  EXPECT_EQ(queue.stats().dropped, 2u);
}

}  // namespace
}  // namespace holdfast::writes
