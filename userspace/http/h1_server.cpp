#include "http/h1_server.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <utility>

namespace holdfast::http {
namespace {

// What is read of a body that the handler did not want, to keep the connection.
constexpr std::size_t kDiscard = 256 * 1024;

}  // namespace

H1Server::H1Server(std::shared_ptr<Transport> transport, ServerOptions options)
    : transport_{std::move(transport)},
      options_{std::move(options)},
      wire_{transport_},
      children_{transport_->executor()},
      timer_{transport_->executor()} {}

Task<> H1Server::run() {
  const auto self = shared_from_this();
  children_.spawn(read_input(), self);
  children_.spawn(watch(), self);
  bool cancelled = false;
  try {
    co_await serve_all();
  } catch (const boost::system::system_error&) {
    cancelled = true;
  }
  // The children must be joined even when the owner cancelled us: forget that until it is done.
  const auto state = co_await boost::asio::this_coro::cancellation_state;
  cancelled = cancelled || state.cancelled() != boost::asio::cancellation_type::none;
  co_await boost::asio::this_coro::reset_cancellation_state();
  stopped_ = true;
  timer_.cancel();
  wire_.close();
  if (current_ && current_->running_) {
    current_->cancel_.emit(boost::asio::cancellation_type::terminal);
  }
  co_await children_.join();
  current_.reset();
  if (cancelled) throw_cancelled();
}

Task<> H1Server::serve_all() {
  for (;;) {
    current_ = co_await next_request();
    if (!current_) co_return;
    enter(Phase::kBusy);
    ++served_;
    current_->running_ = true;
    const auto slot = current_->cancel_.slot();
    children_.spawn(serve(current_), current_, slot);
    while (current_->running_ || handed_over_) co_await wire_.changed().wait();
    if (current_->upgraded_ || !current_->complete_) co_return;
    if (!current_->keep_alive_ || draining_) break;
    const bool whole = co_await discard_body();
    if (!whole) break;
    current_.reset();
  }
  co_await wire_.linger();
}

Task<std::shared_ptr<H1Exchange>> H1Server::next_request() {
  const auto& limits = options_.limits;
  auto parser = H1Parser::request(limits.header_bytes);
  SliceQueue body;
  if (phase_ != Phase::kFirstByte) enter(Phase::kIdle);
  while (!parser->head_done()) {
    if (draining_ && wire_.empty() && phase_ != Phase::kHead) {
      co_await wire_.linger();
      co_return nullptr;
    }
    if (wire_.empty() && !wire_.ended()) {
      co_await wire_.changed().wait();
      continue;
    }
    const auto bytes = co_await wire_.next();
    if (!bytes || bytes->empty()) co_return nullptr;
    if (phase_ != Phase::kHead) enter(Phase::kHead);
    const auto used = parser->feed(*bytes, body);
    if (!used) {
      co_await refuse(used.error());
      co_return nullptr;
    }
    wire_.put_back(bytes->sub(*used));
  }
  auto head = parser->take_request();
  if (!head) {
    co_await refuse(head.error());
    co_return nullptr;
  }
  co_return std::make_shared<H1Exchange>(shared_from_this(), std::move(parser), std::move(body),
                                         std::move(*head));
}

Task<> H1Server::refuse(Error error) {
  const bool large = error.code == make_error_code(Errc::kTooLarge);
  const auto answer = large
                          ? status_answer(431, "RequestHeaderFieldsTooLarge",
                                          "the request's header fields are too large")
                          : status_answer(400, "BadRequest", "malformed request: " + error.message);
  const auto text = write_response_head(answer.head, "connection: close\r\n");
  if (text) (void)co_await transport_->write(Slice::own(*text + answer.body));
  co_await wire_.linger();
}

Task<bool> H1Server::discard_body() {
  H1Exchange& exchange = *current_;
  if (exchange.parser_->done()) co_return true;
  // The client was never told to go on: it may send the body, or the next request.
  if (exchange.expects_continue_) co_return false;
  enter(Phase::kHead);  // has a deadline, unlike the handler's own reading
  std::size_t discarded = 0;
  while (!exchange.parser_->done() && discarded < kDiscard) {
    exchange.body_.clear();
    const auto bytes = co_await exchange.read();
    if (!bytes) co_return false;
    discarded += bytes->size();
  }
  co_return exchange.parser_->done();
}

Task<> H1Server::serve(std::shared_ptr<H1Exchange> exchange) {
  try {
    co_await options_.handler(exchange);
    if (!exchange->responded_) {
      (void)co_await exchange->answer(
          status_answer(500, "InternalError", "the request was not answered"));
    }
  } catch (const boost::system::system_error& e) {
    if (e.code() != boost::asio::error::operation_aborted) log_failure(e.what());
  } catch (const std::exception& e) {
    log_failure(e.what());
  }
  // The coroutine may be a cancelled one: nothing may be awaited any more. An answer that is not
  // complete ends with the connection, which tells the client so.
  exchange->running_ = false;
  if (!exchange->complete_ && !exchange->upgraded_) wire_.close();
  wire_.notify();
}

Task<> H1Server::read_input() {
  co_await wire_.read_loop();
  // The client hung up: nobody waits for the answer (as Go's server sees it, too). Behind an
  // upgrade it is a half-close.
  if (current_ && current_->running_ && !current_->complete_ && !current_->upgraded_) {
    current_->cancel_.emit(boost::asio::cancellation_type::terminal);
  }
}

void H1Server::drain() {
  draining_ = true;
  wire_.notify();
}

void H1Server::close() {
  wire_.close();
}

void H1Server::enter(Phase phase) {
  phase_ = phase;
  phase_since_ = SteadyClock::now();
  if (phase == Phase::kHead) timer_.cancel();  // may be the next deadline
}

Task<> H1Server::watch() {
  const ServerLimits& limits = options_.limits;
  while (!stopped_ && !wire_.ended()) {
    const auto now = SteadyClock::now();
    auto due = now + std::min(limits.idle_timeout, limits.header_timeout);
    if (phase_ == Phase::kFirstByte) due = phase_since_ + limits.first_byte_timeout;
    if (phase_ == Phase::kHead) due = phase_since_ + limits.header_timeout;
    if (phase_ == Phase::kIdle) due = std::min(due, phase_since_ + limits.idle_timeout);
    if (due <= now) {
      wire_.close();
      break;
    }
    timer_.expires_at(due);
    co_await timer_.async_wait(use_result);
  }
}

}  // namespace holdfast::http
