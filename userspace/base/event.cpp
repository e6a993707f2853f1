#include "holdfast/base/event.h"

#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <memory>

namespace holdfast {
namespace {

Task<> throw_if_cancelled() {
  // A cancelled timer wait means "notified", unless the coroutine itself was cancelled.
  const auto state = co_await boost::asio::this_coro::cancellation_state;
  if (state.cancelled() != boost::asio::cancellation_type::none) {
    throw boost::system::system_error{boost::asio::error::operation_aborted};
  }
}

}  // namespace

Task<> Event::wait() {
  co_await timer_.async_wait(use_result);
  co_await throw_if_cancelled();
}

Task<bool> Event::wait_for(SteadyClock::duration limit) {
  // The limit is a timer of its own that rings the bell for everybody: all waiters test a
  // condition in a loop anyway, and the shared timer's expiry stays at "never".
  struct Deadline {
    bool fired = false;
    bool abandoned = false;  // the handler may run after this frame is gone
  };
  auto state = std::make_shared<Deadline>();
  Timer deadline{timer_.get_executor(), limit};
  deadline.async_wait([this, state](boost::system::error_code ec) {
    if (ec || state->abandoned) return;
    state->fired = true;
    timer_.cancel();
  });
  co_await timer_.async_wait(use_result);
  state->abandoned = true;
  co_await throw_if_cancelled();
  co_return !state->fired;
}

}  // namespace holdfast
