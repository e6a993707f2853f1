#pragma once

#include <nghttp2/nghttp2.h>

#include "http/h2_session.h"

namespace holdfast::http {

/// The C functions that nghttp2 calls, translated into H2Session's virtual ones.
struct H2Callbacks {
  static const nghttp2_session_callbacks* get();

  static int begin_headers(nghttp2_session*, const nghttp2_frame*, void*);
  static int header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*, std::size_t,
                    const std::uint8_t*, std::size_t, std::uint8_t, void*);
  static int invalid_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*,
                            std::size_t, const std::uint8_t*, std::size_t, std::uint8_t, void*);
  static int frame_received(nghttp2_session*, const nghttp2_frame*, void*);
  static int data_received(nghttp2_session*, std::uint8_t, std::int32_t, const std::uint8_t*,
                           std::size_t, void*);
  static int frame_sent(nghttp2_session*, const nghttp2_frame*, void*);
  static int frame_not_sent(nghttp2_session*, const nghttp2_frame*, int, void*);
  static int stream_closed(nghttp2_session*, std::int32_t, std::uint32_t, void*);
  static int send_data(nghttp2_session*, nghttp2_frame*, const std::uint8_t*, std::size_t,
                       nghttp2_data_source*, void*);
  static ssize_t read_source(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t,
                             std::uint32_t*, nghttp2_data_source*, void*);
};

}  // namespace holdfast::http
