#include "http/h2_client.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "http/fields.h"

namespace holdfast::http {
namespace {

// Bytes of a request's body that wait in the stream before its writer does.
constexpr std::size_t kRequestWindow = 256 * 1024;
// Fewer frames per list than with the default of 16 KiB; one still shares the line fairly.
constexpr std::uint32_t kMaxFrameSize = 64 * 1024;

}  // namespace

/// What the user holds: resets the stream when dropped early.
class H2ClientStream final : public ClientStream {
 public:
  H2ClientStream(std::shared_ptr<H2Client> client, std::shared_ptr<H2Call> call)
      : client_{std::move(client)}, call_{std::move(call)} {}
  ~H2ClientStream() override { cancel(); }

  Task<Result<ResponseHead>> response() override { return await_head(call_); }
  Task<Result<Slice>> read() override { return client_->read_body(call_); }
  Task<Result<void>> write(Slice bytes, bool end) override {
    return client_->write_body(call_, std::move(bytes), end, kRequestWindow);
  }
  void cancel() override {
    if (!call_->complete()) client_->reset(*call_, NGHTTP2_CANCEL);
  }
  SteadyClock::time_point last_received() const override { return client_->last_received(); }
  void nudge() override { client_->nudge(); }
  void close_connection() override { client_->close(); }

 private:
  static Task<Result<ResponseHead>> await_head(std::shared_ptr<H2Call> call) {
    while (!call->head_done && !call->failure) co_await call->changed.wait();
    if (!call->head_done) co_return *call->failure;
    co_return std::move(call->head);
  }

  std::shared_ptr<H2Client> client_;
  std::shared_ptr<H2Call> call_;
};

H2Client::H2Client(std::shared_ptr<Transport> transport, ClientLimits limits)
    : H2Session{std::move(transport)}, limits_{limits}, pinged_{transport_->executor()} {
  start(false, limits_.header_bytes);
  const std::array<nghttp2_settings_entry, 4> settings = {{
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits_.stream_window},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kMaxFrameSize},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits_.header_bytes)},
  }};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<std::int32_t>(std::min<std::uint32_t>(
                                            limits_.connection_window, (1u << 31) - 1)));
}

Task<> H2Client::run() {
  const auto self = shared_from_this();
  co_await read_and_join(self);
}

void H2Client::close() {
  fail(make_error(Errc::kCancelled, "closed"));
}

bool H2Client::going_away() const {
  return nghttp2_session_check_request_allowed(session_) == 0;
}

bool H2Client::usable() const {
  if (failed() || finishing_) return false;
  if (going_away()) return false;
  const std::uint32_t allowed =
      nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  return streams_.size() < std::min({limits_.max_streams, allowed});
}

Task<Result<std::unique_ptr<ClientStream>>> H2Client::open(RequestHead head, bool end) {
  if (!usable()) co_return make_error(Errc::kUnavailable, "no stream can be opened");
  auto call = std::make_shared<H2Call>(transport_->executor());
  call->request = std::move(head);
  call->out_end = end;
  const RequestHead& request = call->request;
  thread_local std::vector<nghttp2_nv> fields;
  fields.clear();
  fields.push_back(nv(":method", request.method));
  fields.push_back(nv(":scheme", "https"));
  fields.push_back(nv(":authority", request.authority));
  fields.push_back(nv(":path", request.target));
  // RFC 9113 §8.1.1: a length that differs from the body's makes the request malformed.
  if (end) call->request.headers.remove("content-length");
  for (const auto& field : request.headers) {
    if (!is_hop_by_hop(field.name)) fields.push_back(nv(field.name, field.value));
  }
  const auto body = provider(*call);
  const auto id = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(),
                                         end ? nullptr : &body, call.get());
  if (id < 0) co_return make_error(Errc::kUnavailable, nghttp2_strerror(id));
  call->id = id;
  streams_.emplace(id, call);
  wake_writer();
  co_return std::make_unique<H2ClientStream>(shared_from_this(), std::move(call));
}

void H2Client::on_begin_headers(const nghttp2_frame& frame) {
  auto* call = static_cast<H2Call*>(find(frame.hd.stream_id));
  if (call == nullptr || call->head_done) return;
  call->head = {};  // of a 1xx before it
  call->header_bytes = 0;
}

void H2Client::on_header(const nghttp2_frame& frame, std::string_view name, std::string_view value,
                         bool valid) {
  auto* call = static_cast<H2Call*>(find(frame.hd.stream_id));
  if (call == nullptr || call->head_done) return;  // trailers are dropped
  call->header_bytes += name.size() + value.size() + 32;
  if (!valid || call->header_bytes > limits_.header_bytes) {
    call->malformed = true;
  } else if (name == ":status") {
    std::from_chars(value.data(), value.data() + value.size(), call->head.status);
  } else if (!name.starts_with(':') && !is_hop_by_hop(name)) {
    call->head.headers.add(std::string{name}, std::string{value});
  }
}

void H2Client::on_headers(const nghttp2_frame& frame) {
  auto* call = static_cast<H2Call*>(find(frame.hd.stream_id));
  if (call == nullptr || call->head_done) return;
  if (call->malformed) {
    call->failure = make_error(Errc::kProtocol, "the response's head is malformed or too large");
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_PROTOCOL_ERROR);
  } else if (call->head.status / 100 == 1) {
    return;
  } else {
    call->head_done = true;
  }
  call->changed.notify_all();
}

void H2Client::on_not_sent(const nghttp2_frame& frame) {
  if (frame.hd.type != NGHTTP2_HEADERS) return;
  const auto it = streams_.find(frame.hd.stream_id);
  if (it == streams_.end()) return;
  const auto call = std::move(it->second);
  streams_.erase(it);
  call->failure = make_error(Errc::kUnavailable, "the request was not sent");
  call->changed.notify_all();
}

Error H2Client::closed_error(std::uint32_t code) const {
  if (code == NGHTTP2_REFUSED_STREAM) {
    return make_error(Errc::kUnavailable, "the server refused the stream unprocessed");
  }
  return make_error(Errc::kReset,
                    std::string{"the response was cut short: "} + nghttp2_http2_strerror(code));
}

Task<Result<std::chrono::nanoseconds>> H2Client::ping(std::chrono::milliseconds timeout) {
  const auto self = shared_from_this();
  const std::uint64_t number = ++next_ping_;
  std::array<std::uint8_t, 8> opaque{};
  std::memcpy(opaque.data(), &number, opaque.size());
  if (failed() || nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, opaque.data()) != 0) {
    co_return make_error(Errc::kClosed, "ping");
  }
  pings_.push_back({.number = number, .sent = SteadyClock::now(), .took = std::nullopt});
  // The caller may be cancelled while waiting.
  struct Forget {
    H2Client& client;
    std::uint64_t number;
    ~Forget() {
      std::erase_if(client.pings_, [this](const Ping& p) { return p.number == number; });
    }
  };
  const Forget forget{*this, number};
  wake_writer();
  const auto limit = SteadyClock::now() + timeout;
  for (;;) {
    const auto mine = std::find_if(pings_.begin(), pings_.end(),
                                   [number](const Ping& p) { return p.number == number; });
    if (mine->took) co_return *mine->took;
    if (failed()) co_return make_error(Errc::kClosed, "ping");
    const auto now = SteadyClock::now();
    if (now >= limit) co_return make_error(Errc::kTimeout, "ping");
    (void)co_await pinged_.wait_for(limit - now);
  }
}

void H2Client::nudge() {
  const std::uint64_t number = ++next_ping_;  // nobody waits for this one
  std::array<std::uint8_t, 8> opaque{};
  std::memcpy(opaque.data(), &number, opaque.size());
  if (failed() || nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, opaque.data()) != 0) return;
  wake_writer();
}

void H2Client::on_ping_ack(const std::uint8_t* opaque) {
  std::uint64_t number = 0;
  std::memcpy(&number, opaque, sizeof number);
  for (auto& ping : pings_) {
    if (ping.number == number) ping.took = SteadyClock::now() - ping.sent;
  }
  pinged_.notify_all();
}

}  // namespace holdfast::http
