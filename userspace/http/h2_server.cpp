#include "http/h2_server.h"

#include <algorithm>
#include <array>
#include <boost/system/system_error.hpp>
#include <utility>

namespace holdfast::http {
namespace {

// How long a client has to acknowledge the first GOAWAY of a drain before the last one is sent.
constexpr std::chrono::seconds kDrainNotice{1};
// How long a client may take to read the last GOAWAY.
constexpr std::chrono::seconds kLastWord{5};
// How long the rest of a request that is answered already is taken and dropped.
constexpr std::chrono::seconds kUnreadBody{1};
constexpr std::array<std::uint8_t, 8> kDrainPing = {'h', 'f', 'd', 'r', 'a', 'i', 'n', 0};
constexpr std::uint32_t kRequestWindow = 256 * 1024;
constexpr std::int32_t kConnectionWindow = 64 << 20;

}  // namespace

H2Server::H2Server(std::shared_ptr<Transport> transport, ServerOptions options)
    : H2Session{std::move(transport)},
      options_{std::move(options)},
      timer_{transport_->executor()} {
  start(true, options_.limits.header_bytes);
  const std::array<nghttp2_settings_entry, 3> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options_.limits.max_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kRequestWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
       static_cast<std::uint32_t>(options_.limits.header_bytes)},
  }};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

Task<> H2Server::run() {
  const auto self = shared_from_this();
  children_.spawn(watch(), self);
  co_await read_and_join(self);
}

void H2Server::close() {
  fail(make_error(Errc::kCancelled, "closed"));
}

void H2Server::drain() {
  if (draining_ || failed()) return;
  draining_ = true;
  // First a GOAWAY that refuses nothing: requests under way to us are still taken. Its PING comes
  // back behind them (RFC 9113 §6.8).
  nghttp2_submit_shutdown_notice(session_);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kDrainPing.data());
  drain_until_ = SteadyClock::now() + kDrainNotice;
  timer_.cancel();
  wake_writer();
}

void H2Server::on_ping_ack(const std::uint8_t* opaque) {
  if (draining_ && std::equal(kDrainPing.begin(), kDrainPing.end(), opaque)) final_goaway();
}

void H2Server::final_goaway() {
  drain_until_.reset();
  if (std::exchange(goaway_sent_, true)) return;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  wake_writer();
}

// --- requests ---

void H2Server::on_begin_headers(const nghttp2_frame& frame) {
  if (frame.headers.cat != NGHTTP2_HCAT_REQUEST) return;
  header_since_ = last_received_;
  header_stream_ = frame.hd.stream_id;
  const auto exchange = std::make_shared<H2Exchange>(transport_->executor(), shared_from_this());
  exchange->id = frame.hd.stream_id;
  attach(exchange);
}

void H2Server::on_header(const nghttp2_frame& frame, std::string_view name, std::string_view value,
                         bool valid) {
  if (frame.headers.cat != NGHTTP2_HCAT_REQUEST) return;  // trailers are dropped
  auto* exchange = static_cast<H2Exchange*>(find(frame.hd.stream_id));
  if (exchange == nullptr) return;
  if (!valid) {
    exchange->malformed_ = true;
    return;
  }
  exchange->header_bytes_ += name.size() + value.size() + 32;  // RFC 9113 §6.5.2
  if (exchange->header_bytes_ > options_.limits.header_bytes) {
    exchange->too_large_ = true;
    return;
  }
  RequestHead& head = exchange->request_;
  if (!name.starts_with(':')) {
    if (name == "host") {
      if (head.authority.empty()) head.authority = value;
    } else if (name == "expect") {
      exchange->expects_continue_ = list_has_token(value, "100-continue");
    } else if (!is_hop_by_hop(name)) {
      head.headers.add(std::string{name}, std::string{value});
    }
  } else if (name == ":method") {
    head.method = value;
  } else if (name == ":path") {
    head.target = value;
  } else if (name == ":authority") {
    head.authority = value;
  }
}

void H2Server::on_headers(const nghttp2_frame& frame) {
  if (frame.headers.cat != NGHTTP2_HCAT_REQUEST) return;
  auto* exchange = static_cast<H2Exchange*>(find(frame.hd.stream_id));
  if (exchange == nullptr) return;
  exchange->head_done_ = true;
  ready_.push_back(exchange->shared_from_this());
}

bool H2Server::in_header() const {
  const auto it = streams_.find(header_stream_);
  return it != streams_.end() && !static_cast<const H2Exchange&>(*it->second).head_done_;
}

void H2Server::after_input() {
  received_ = true;
  // Half a head, or a last word: its deadline may be the next one.
  if (in_header() || terminated_since()) timer_.cancel();
  cancel_now();
  // Handlers start only now: within nghttp2's callbacks they could close what it works on.
  auto ready = std::exchange(ready_, {});
  for (auto& exchange : ready) {
    if (exchange->failure) continue;
    const RequestHead& head = exchange->request_;
    if (exchange->too_large_) {
      answer(*exchange, status_answer(431, "RequestHeaderFieldsTooLarge",
                                      "the request's header fields are too large"));
    } else if (exchange->malformed_ || head.method == "CONNECT" ||
               (!head.target.starts_with('/') && head.target != "*")) {
      answer(*exchange, status_answer(400, "BadRequest", "the request's head is malformed"));
    } else if (running_ >= 2 * static_cast<std::size_t>(options_.limits.max_streams)) {
      // Streams that were reset no longer count for nghttp2, but their handlers still end.
      reset(*exchange, NGHTTP2_REFUSED_STREAM);
    } else {
      ++running_;
      ++served_;
      exchange->running_ = true;
      const auto slot = exchange->cancel_.slot();
      children_.spawn(serve(exchange), exchange, slot);
    }
  }
  ready.clear();
  if (ready_.empty()) ready_ = std::move(ready);  // keeps its memory
}

Task<> H2Server::serve(std::shared_ptr<H2Exchange> exchange) {
  try {
    co_await options_.handler(exchange);
  } catch (const boost::system::system_error& e) {
    if (e.code() != boost::asio::error::operation_aborted) log_failure(e.what());
  } catch (const std::exception& e) {
    log_failure(e.what());
  }
  // The coroutine may be a cancelled one: nothing may be awaited any more.
  exchange->running_ = false;
  --running_;
  if (running_ == 0) idle_since_ = SteadyClock::now();
  if (exchange->failure || failed()) co_return;
  if (!exchange->responded_) {
    answer(*exchange, status_answer(500, "InternalError", "the request was not answered"));
  } else if (!exchange->out_end) {
    exchange->abort();
  }
}

void H2Server::submit(H2Exchange& exchange, ResponseHead head, bool end) {
  exchange.responded_ = true;
  exchange.response_ = std::move(head);
  exchange.status_ = std::to_string(exchange.response_.status);
  exchange.bodiless_ = is_bodiless(exchange.request_.method, exchange.response_.status);
  if (!exchange.bodiless_) exchange.remaining_ = content_length(exchange.response_.headers);
  if (end || exchange.bodiless_) exchange.out_end = true;
  thread_local std::vector<nghttp2_nv> fields;
  fields.clear();
  fields.push_back(nv(":status", exchange.status_));
  for (const auto& field : exchange.response_.headers) {
    if (is_hop_by_hop(field.name)) continue;
    fields.push_back(nv(field.name, field.value));
  }
  const auto body = provider(exchange);
  const bool no_body = exchange.out_end && exchange.out.empty();
  nghttp2_submit_response(session_, exchange.id, fields.data(), fields.size(),
                          no_body ? nullptr : &body);
  wake_writer();
}

void H2Server::answer(H2Exchange& exchange, StatusAnswer answer) {
  const bool bodiless = is_bodiless(exchange.request_.method, answer.head.status);
  if (!bodiless) exchange.out.push(Slice::own(std::move(answer.body)));
  exchange.out_end = true;
  submit(exchange, std::move(answer.head), true);
}

void H2Server::on_end_sent(H2Stream& stream) {
  // The response is whole; what is left of the request's body is not wanted (RFC 9113 §8.1). But
  // most of the time it is on its way already, and curl takes RST_STREAM(NO_ERROR) for a failure:
  // so a moment later.
  if (stream.in_end) return;
  unread_.emplace_back(stream.id, SteadyClock::now() + kUnreadBody);
  timer_.cancel();
}

void H2Server::reset_unread(TimePoint now) {
  while (!unread_.empty() && unread_.front().second <= now) {
    const auto* stream = find(unread_.front().first);
    if (stream != nullptr && !stream->in_end) {
      nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
      wake_writer();
    }
    unread_.pop_front();
  }
}

void H2Server::on_closed(H2Stream& stream) {
  auto& exchange = static_cast<H2Exchange&>(stream);
  if (streams_.empty()) idle_since_ = SteadyClock::now();
  if (exchange.running_ && !exchange.out_sent && !exchange.aborted_)
    doomed_.push_back(exchange.shared_from_this());
}

void H2Server::cancel_now() {
  const auto doomed = std::exchange(doomed_, {});
  for (const auto& exchange : doomed) {
    if (exchange->running_) exchange->cancel_.emit(boost::asio::cancellation_type::terminal);
  }
}

void H2Server::on_failed() {
  timer_.cancel();
  cancel_now();
}

Error H2Server::closed_error(std::uint32_t code) const {
  return make_error(Errc::kReset,
                    std::string{"the client reset the stream: "} + nghttp2_http2_strerror(code));
}

// --- deadlines ---

Task<> H2Server::watch() {
  while (!failed()) {
    timer_.expires_at(check_deadlines(SteadyClock::now()));
    if (failed()) break;
    co_await timer_.async_wait(use_result);
  }
}

H2Server::TimePoint H2Server::check_deadlines(TimePoint now) {
  const ServerLimits& limits = options_.limits;
  // Things begin unnoticed while this sleeps, hence never for longer than the shortest of them.
  TimePoint next = now + std::min(limits.idle_timeout, limits.header_timeout);
  const auto due = [&](TimePoint at) {
    if (at <= now) return true;
    next = std::min(next, at);
    return false;
  };
  if (!received_) {
    if (due(started_ + limits.first_byte_timeout)) {
      fail(make_error(Errc::kTimeout, "no request"));
    }
    return next;
  }
  if (terminated_since() && due(*terminated_since() + kLastWord)) {
    fail(make_error(Errc::kTimeout, "the client does not read"));
    return next;
  }
  if (in_header() && due(header_since_ + limits.header_timeout)) {
    terminate(NGHTTP2_ENHANCE_YOUR_CALM);
  }
  if (drain_until_ && due(*drain_until_)) final_goaway();
  reset_unread(now);
  if (!unread_.empty()) next = std::min(next, unread_.front().second);
  if (streams_.empty() && running_ == 0 && due(idle_since_ + limits.idle_timeout)) {
    terminate(NGHTTP2_NO_ERROR);
  }
  if (terminated_since()) next = std::min(next, *terminated_since() + kLastWord);
  return next;
}

}  // namespace holdfast::http
