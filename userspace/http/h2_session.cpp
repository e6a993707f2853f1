#include "http/h2_session.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <utility>

#include "http/h2_callbacks.h"

namespace holdfast::http {
namespace {

// How long the peer has to hang up after our last word.
constexpr std::chrono::seconds kLinger{1};

using Options = std::unique_ptr<nghttp2_option, decltype(&nghttp2_option_del)>;

Options make_options(std::size_t header_bytes) {
  nghttp2_option* raw = nullptr;
  nghttp2_option_new(&raw);
  Options options{raw, &nghttp2_option_del};
  // Windows are given back by hand: the connection's on receipt, a stream's when it was read.
  nghttp2_option_set_no_auto_window_update(raw, 1);
  // Closed streams would be kept for a priority tree that nobody uses.
  nghttp2_option_set_no_closed_streams(raw, 1);
  nghttp2_option_set_max_send_header_block_length(raw,
                                                  std::max<std::size_t>(header_bytes, 65536) * 2);
  nghttp2_option_set_peer_max_concurrent_streams(raw, 100);
  nghttp2_option_set_max_outbound_ack(raw, 1000);  // PING and SETTINGS floods
  nghttp2_option_set_max_settings(raw, 32);
  // Rapid reset (CVE-2023-44487): beyond, nghttp2 says GOAWAY.
  nghttp2_option_set_stream_reset_rate_limit(raw, 1000, 33);
  return options;
}

}  // namespace

H2Session::H2Session(std::shared_ptr<Transport> transport)
    : transport_{std::move(transport)},
      children_{transport_->executor()},
      wake_{transport_->executor()} {}

H2Session::~H2Session() {
  nghttp2_session_del(session_);
}

void H2Session::start(bool server, std::size_t header_bytes) {
  const Options options = make_options(header_bytes);
  const nghttp2_session_callbacks* callbacks = H2Callbacks::get();
  if (server) {
    nghttp2_session_server_new2(&session_, callbacks, this, options.get());
  } else {
    nghttp2_session_client_new2(&session_, callbacks, this, options.get());
  }
}

bool H2Session::done() const {
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

Task<> H2Session::read_and_join(std::shared_ptr<void> self) {
  children_.spawn(write_loop(), self);
  bool cancelled = false;
  try {
    co_await read_loop();
  } catch (const boost::system::system_error&) {
    cancelled = true;
  }
  // The children must be joined even when the owner cancelled us: forget that until it is done.
  const auto state = co_await boost::asio::this_coro::cancellation_state;
  cancelled = cancelled || state.cancelled() != boost::asio::cancellation_type::none;
  co_await boost::asio::this_coro::reset_cancellation_state();
  fail(make_error(Errc::kClosed, "connection ended"));
  co_await children_.join();
  if (cancelled) throw_cancelled();
}

Task<> H2Session::read_loop() {
  while (!failed()) {
    const auto bytes = co_await transport_->read();
    if (!bytes) {
      fail(bytes.error());
    } else if (bytes->empty()) {
      fail(make_error(Errc::kClosed, "connection ended"));
    } else {
      receive(*bytes);
    }
  }
}

void H2Session::receive(const Slice& bytes) {
  last_received_ = SteadyClock::now();
  if (failed() || terminated_ || finishing_) return;
  incoming_ = &bytes;
  const auto used = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  incoming_ = nullptr;
  if (used < 0) {
    terminate(used == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
  }
  after_input();
  if (nghttp2_session_want_write(session_) != 0 || done()) wake_writer();
}

void H2Session::terminate(std::uint32_t code) {
  if (terminated_) return;
  terminated_ = SteadyClock::now();
  nghttp2_session_terminate_session(session_, code);
  wake_writer();
}

void H2Session::wake_writer() {
  dirty_ = true;
  wake_.notify_all();
}

Task<> H2Session::write_loop() {
  while (!failed()) {
    if (!dirty_) {
      if (done()) break;
      co_await wake_.wait();
      continue;
    }
    dirty_ = false;
    Block block = Block::take();
    if (gather(block)) dirty_ = true;
    after_output();
    if (block.size() == 0) continue;
    const auto sent = co_await transport_->write(std::move(block).slice());
    if (!sent) fail(sent.error());
  }
  if (!failed()) co_await linger();
}

Task<> H2Session::linger() {
  // Our FIN, but no close yet: with input unread that would be a reset, and what we said last (a
  // GOAWAY, the end of a response) could be lost.
  finishing_ = true;
  (void)co_await transport_->shutdown();
  const auto limit = SteadyClock::now() + kLinger;
  while (!failed() && SteadyClock::now() < limit) {
    (void)co_await wake_.wait_for(limit - SteadyClock::now());
  }
  fail(make_error(Errc::kClosed, "connection ended"));
}

bool H2Session::gather(Block& block) {
  gathering_ = &block;
  paused_ = false;
  bool more = false;
  for (;;) {
    if (block.size() + kMaxFrame > Block::kPayload + 9) {
      more = true;
      break;
    }
    const std::uint8_t* bytes = nullptr;
    const auto size = nghttp2_session_mem_send(session_, &bytes);
    if (size < 0) {
      fail(make_error(Errc::kProtocol, nghttp2_strerror(static_cast<int>(size))));
      break;
    }
    if (size == 0) {
      more = paused_;  // nothing left, or DATA that did not fit any more
      break;
    }
    block.append(bytes, static_cast<std::size_t>(size));
  }
  gathering_ = nullptr;
  return more;
}

void H2Session::fail(Error error) {
  if (failure_) return;
  failure_ = std::move(error);
  transport_->close();
  wake_.notify_all();
  const auto streams = std::exchange(streams_, {});
  for (const auto& [id, stream] : streams) {
    if (!stream->failure) stream->failure = make_error(Errc::kReset, failure_->to_string());
    stream->changed.notify_all();
    on_closed(*stream);
  }
  on_failed();
}

void H2Session::attach(std::shared_ptr<H2Stream> stream) {
  nghttp2_session_set_stream_user_data(session_, stream->id, stream.get());
  const std::int32_t id = stream->id;
  streams_.emplace(id, std::move(stream));
}

H2Stream* H2Session::find(std::int32_t id) const {
  if (failed()) return nullptr;
  return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
}

void H2Session::reset(H2Stream& stream, std::uint32_t code) {
  if (stream.failure || failed()) return;
  stream.failure = make_error(Errc::kCancelled, "stream reset by us");
  stream.in.clear();
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, code);
  stream.changed.notify_all();
  wake_writer();
}

void H2Session::give_back(H2Stream& stream) {
  if (stream.unreturned == 0) return;
  const std::size_t size = std::exchange(stream.unreturned, 0);
  if (failed() || stream.in_end || stream.failure) return;
  nghttp2_session_consume_stream(session_, stream.id, size);
  if (nghttp2_session_want_write(session_) != 0) wake_writer();
}

Task<Result<Slice>> H2Session::read_body(std::shared_ptr<H2Stream> stream) {
  give_back(*stream);
  while (stream->in.empty() && !stream->in_end && !stream->failure) {
    co_await stream->changed.wait();
  }
  if (!stream->in.empty()) {
    Slice bytes = stream->in.pop();
    stream->unreturned = bytes.size();
    co_return bytes;
  }
  if (stream->in_end) co_return Slice{};
  co_return *stream->failure;
}

Task<Result<void>> H2Session::write_body(std::shared_ptr<H2Stream> stream, Slice bytes, bool end,
                                         std::size_t window) {
  if (stream->failure) co_return *stream->failure;
  if (stream->out_end) co_return make_error(Errc::kInvalidArgument, "write after the end");
  stream->out.push(std::move(bytes));
  stream->out_end = end;
  if (stream->deferred && (end || !stream->out.empty())) {
    stream->deferred = false;
    nghttp2_session_resume_data(session_, stream->id);
    wake_writer();
  }
  while (stream->out.bytes() > window && !stream->failure) co_await stream->changed.wait();
  if (stream->failure && !stream->out_sent) co_return *stream->failure;
  co_return Result<void>{};
}

nghttp2_nv H2Session::nv(std::string_view name, std::string_view value) {
  // The strings live in the stream's head until the stream is closed: no copy.
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

}  // namespace holdfast::http
