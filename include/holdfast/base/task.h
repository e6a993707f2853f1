#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/wait_traits.hpp>
#include <chrono>

namespace holdfast {

/// Each thread runs one io_context; everything that belongs to a connection stays on it, so a
/// coroutine needs no lock. The concrete executor spares the type-erased one's indirect calls.
using Executor = boost::asio::io_context::executor_type;

/// A coroutine of this code base. Parameters are taken by value: a reference would outlive its
/// caller's frame only by luck.
template <class T = void>
using Task = boost::asio::awaitable<T, Executor>;

/// Completion token: throws on error.
inline constexpr boost::asio::use_awaitable_t<Executor> use_task{};
/// Completion token: the error is an outcome, `auto [ec, n] = co_await …`.
inline constexpr boost::asio::as_tuple_t<boost::asio::use_awaitable_t<Executor>> use_result{};

using SteadyClock = std::chrono::steady_clock;
using Timer =
    boost::asio::basic_waitable_timer<SteadyClock, boost::asio::wait_traits<SteadyClock>, Executor>;

}  // namespace holdfast
