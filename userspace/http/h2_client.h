#pragma once

#include <memory>
#include <vector>

#include "holdfast/http/client.h"
#include "http/h2_session.h"

namespace holdfast::http {

/// A request of ours and its response.
struct H2Call final : H2Stream {
  using H2Stream::H2Stream;
  RequestHead request;  ///< its strings are nghttp2's until the stream closes
  ResponseHead head;
  std::size_t header_bytes = 0;
  bool head_done = false;
  bool malformed = false;
};

class H2Client final : public ClientConnection,
                       public H2Session,
                       public std::enable_shared_from_this<H2Client> {
 public:
  H2Client(std::shared_ptr<Transport> transport, ClientLimits limits);

  Task<> run() override;
  Task<Result<std::unique_ptr<ClientStream>>> open(RequestHead head, bool end) override;
  Task<Result<std::chrono::nanoseconds>> ping(std::chrono::milliseconds timeout) override;
  bool usable() const override;
  bool going_away() const override;
  std::size_t active() const override { return streams_.size(); }
  SteadyClock::time_point last_received() const override { return last_received_; }
  Upload upload() const override { return transport_->upload(); }
  void close() override;
  /// A PING for the sake of `last_received`.
  void nudge();

 private:
  friend class H2ClientStream;
  struct Ping {
    std::uint64_t number;
    SteadyClock::time_point sent;
    std::optional<std::chrono::nanoseconds> took;
  };

  void on_begin_headers(const nghttp2_frame& frame) override;
  void on_header(const nghttp2_frame& frame, std::string_view name, std::string_view value,
                 bool valid) override;
  void on_headers(const nghttp2_frame& frame) override;
  void on_ping_ack(const std::uint8_t* opaque) override;
  void on_not_sent(const nghttp2_frame& frame) override;
  void on_closed(H2Stream&) override {}
  void on_failed() override { pinged_.notify_all(); }
  Error closed_error(std::uint32_t code) const override;

  ClientLimits limits_;
  Event pinged_;
  std::vector<Ping> pings_;
  std::uint64_t next_ping_ = 0;
};

}  // namespace holdfast::http
