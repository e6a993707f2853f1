#pragma once

#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "holdfast/base/event.h"

namespace holdfast {

/// What another thread answers to one coroutine of `executor`.
template <class T>
class Answer {
 public:
  explicit Answer(Executor executor) : state_{std::make_shared<State>(std::move(executor))} {}

  /// For the other thread, to be called once. It keeps nothing that belongs to the executor: the
  /// last of that goes where the coroutine runs.
  [[nodiscard]] std::function<void(T)> callback() const {
    return [state = state_, executor = state_->executor](T value) mutable {
      boost::asio::post(executor, [state = std::move(state), value = std::move(value)]() mutable {
        state->value = std::move(value);
        state->changed.notify_all();
      });
    };
  }

  /// `this` lives until it returns.
  Task<T> wait() {
    while (!state_->value) co_await state_->changed.wait();
    co_return std::move(*state_->value);
  }
  /// Empty when `limit` passed first.
  Task<std::optional<T>> wait_for(SteadyClock::duration limit) {
    const auto until = SteadyClock::now() + limit;
    while (!state_->value) {
      const auto left = until - SteadyClock::now();
      if (left <= left.zero()) break;
      co_await state_->changed.wait_for(left);
    }
    co_return std::move(state_->value);
  }

 private:
  struct State {
    explicit State(Executor e) : executor{e}, changed{e} {}
    Executor executor;
    Event changed;
    std::optional<T> value;
  };
  std::shared_ptr<State> state_;
};

}  // namespace holdfast
