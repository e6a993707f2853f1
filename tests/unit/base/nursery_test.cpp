#include "holdfast/base/nursery.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class NurseryTest : public testing::Test {
 protected:
  void run(Task<> main) {
    boost::asio::co_spawn(io_.get_executor(), std::move(main), boost::asio::detached);
    io_.run();
  }
  boost::asio::io_context io_;
  Nursery nursery_{io_.get_executor()};
  Event event_{io_.get_executor()};
  int ended_ = 0;

  Task<> child() {
    co_await event_.wait();
    ++ended_;
  }
  Task<> cancel_all() {
    nursery_.cancel();
    co_await nursery_.join();
  }
  Task<> notify_and_join() {
    event_.notify_all();
    co_await nursery_.join();
  }
  Task<> wait_briefly(bool* notified) { *notified = co_await event_.wait_for(1ms); }
  Task<> wait_long(bool* notified) { *notified = co_await event_.wait_for(1h); }
};

TEST_F(NurseryTest, JoinWaitsForChildren) {
  nursery_.spawn("a", child());
  nursery_.spawn("b", child());
  run(notify_and_join());
  EXPECT_EQ(ended_, 2);
}

TEST_F(NurseryTest, CancelEndsWaitingChildren) {
  nursery_.spawn("a", child());
  nursery_.spawn("b", child());
  run(cancel_all());
  EXPECT_EQ(ended_, 0);
  EXPECT_EQ(nursery_.size(), 0u);
}

TEST_F(NurseryTest, WaitForTellsTimeoutFromNotification) {
  bool notified = true;
  run(wait_briefly(&notified));
  EXPECT_FALSE(notified);
}

TEST_F(NurseryTest, WaitForReturnsTrueWhenNotified) {
  bool notified = false;
  nursery_.spawn("waiter", wait_long(&notified));
  run(notify_and_join());
  EXPECT_TRUE(notified);
}

Task<> cancel_while_starting(Nursery* nursery) {
  nursery->cancel();
  co_return;
}

TEST_F(NurseryTest, AChildMayBeCancelledBeforeItEverWaits) {
  nursery_.spawn("hasty", cancel_while_starting(&nursery_));
  EXPECT_NO_THROW(io_.run());
  EXPECT_EQ(nursery_.size(), 0u);
}

}  // namespace
}  // namespace holdfast
