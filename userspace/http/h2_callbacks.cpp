#include "http/h2_callbacks.h"

#include <algorithm>

namespace holdfast::http {
namespace {

H2Session& of(void* user) {
  return *static_cast<H2Session*>(user);
}

std::string_view text(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

const nghttp2_session_callbacks* H2Callbacks::get() {
  static const nghttp2_session_callbacks* const callbacks = [] {
    nghttp2_session_callbacks* c = nullptr;
    nghttp2_session_callbacks_new(&c);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c, invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, data_received);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, frame_not_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, stream_closed);
    nghttp2_session_callbacks_set_send_data_callback(c, send_data);
    return c;
  }();
  return callbacks;
}

int H2Callbacks::begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  of(user).on_begin_headers(*frame);
  return 0;
}

int H2Callbacks::header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                        std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                        std::uint8_t, void* user) {
  of(user).on_header(*frame, text(name, name_size), text(value, value_size), true);
  return 0;
}

// Without this callback nghttp2 drops such fields in silence, and a request goes on without them.
int H2Callbacks::invalid_header(nghttp2_session*, const nghttp2_frame* frame,
                                const std::uint8_t* name, std::size_t name_size,
                                const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                                void* user) {
  of(user).on_header(*frame, text(name, name_size), text(value, value_size), false);
  return 0;
}

int H2Callbacks::frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  auto& session = of(user);
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA: {
      if (frame->hd.type == NGHTTP2_HEADERS) session.on_headers(*frame);
      if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) break;
      if (H2Stream* stream = session.find(frame->hd.stream_id)) {
        stream->in_end = true;
        stream->changed.notify_all();
      }
      break;
    }
    case NGHTTP2_PING:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) session.on_ping_ack(frame->ping.opaque_data);
      break;
    case NGHTTP2_GOAWAY:
      session.on_goaway(*frame);
      break;
    default:
      break;
  }
  return 0;
}

int H2Callbacks::data_received(nghttp2_session* raw, std::uint8_t, std::int32_t id,
                               const std::uint8_t* bytes, std::size_t size, void* user) {
  auto& session = of(user);
  // At once, or one slow stream would use up what all share.
  nghttp2_session_consume_connection(raw, size);
  H2Stream* stream = session.find(id);
  if (stream == nullptr || stream->failure) {
    nghttp2_session_consume_stream(raw, id, size);
    return 0;
  }
  stream->in.push(keep(*session.incoming_, text(bytes, size)));
  stream->changed.notify_all();
  return 0;
}

int H2Callbacks::frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  const auto type = frame->hd.type;
  if (type != NGHTTP2_DATA && type != NGHTTP2_HEADERS) return 0;
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
  auto& session = of(user);
  if (H2Stream* stream = session.find(frame->hd.stream_id)) {
    stream->out_sent = true;
    session.on_end_sent(*stream);
  }
  return 0;
}

int H2Callbacks::frame_not_sent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
  of(user).on_not_sent(*frame);
  return 0;
}

int H2Callbacks::stream_closed(nghttp2_session*, std::int32_t id, std::uint32_t code, void* user) {
  auto& session = of(user);
  const auto it = session.streams_.find(id);
  if (it == session.streams_.end()) return 0;
  const auto stream = std::move(it->second);
  session.streams_.erase(it);
  if (!stream->complete() && !stream->failure) stream->failure = session.closed_error(code);
  stream->changed.notify_all();
  session.on_closed(*stream);
  return 0;
}

ssize_t H2Callbacks::read_source(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t room,
                                 std::uint32_t* flags, nghttp2_data_source* source, void*) {
  auto& stream = *static_cast<H2Stream*>(source->ptr);
  const std::size_t size = std::min({room, H2Session::kMaxData, stream.out.bytes()});
  if (size == 0 && !stream.out_end) {
    stream.deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  if (stream.out_end && size == stream.out.bytes()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  if (size > 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  return static_cast<ssize_t>(size);
}

int H2Callbacks::send_data(nghttp2_session*, nghttp2_frame*, const std::uint8_t* header,
                           std::size_t size, nghttp2_data_source* source, void* user) {
  auto& session = of(user);
  auto& stream = *static_cast<H2Stream*>(source->ptr);
  Block& block = *session.gathering_;
  block.append(header, 9);
  stream.out.copy_out(block.tail(), size);
  block.commit(size);
  stream.changed.notify_all();
  // PAUSE counts as sent, and makes nghttp2_session_mem_send return 0, just as when it has
  // nothing left to say: the flag tells the two apart.
  if (block.size() + H2Session::kMaxFrame <= Block::kPayload + 9) return 0;
  session.paused_ = true;
  return NGHTTP2_ERR_PAUSE;
}

nghttp2_data_provider H2Session::provider(H2Stream& stream) {
  nghttp2_data_provider provider{};
  provider.source.ptr = &stream;
  provider.read_callback = H2Callbacks::read_source;
  return provider;
}

}  // namespace holdfast::http
