#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/http/server.h"
#include "http/fields.h"
#include "http/h2_session.h"

namespace holdfast::http {

class H2Server;

/// A request on an HTTP/2 connection.
class H2Exchange final : public Exchange,
                         public H2Stream,
                         public std::enable_shared_from_this<H2Exchange> {
 public:
  H2Exchange(Executor executor, std::shared_ptr<H2Server> server);

  const RequestHead& request() const override { return request_; }
  const std::shared_ptr<void>& context() const override;
  Task<Result<Slice>> read() override;
  Task<Result<void>> respond(ResponseHead head, bool end) override;
  Task<Result<void>> write(Slice bytes, bool end) override;
  void abort() override;
  void refuse() override;
  bool responded() const override { return responded_; }
  Task<Result<std::unique_ptr<Transport>>> upgrade(ResponseHead head) override;

 private:
  friend class H2Server;

  std::shared_ptr<H2Server> server_;
  RequestHead request_;
  ResponseHead response_;  // its strings are nghttp2's until the stream closes
  std::string status_;
  std::size_t header_bytes_ = 0;
  std::optional<std::uint64_t> remaining_;  // of the declared Content-Length
  boost::asio::cancellation_signal cancel_;
  bool running_ = false;
  bool head_done_ = false;
  bool aborted_ = false;  // by the handler, which therefore is not cancelled
  bool responded_ = false;
  bool bodiless_ = false;
  bool malformed_ = false;
  bool too_large_ = false;
  bool expects_continue_ = false;
};

class H2Server final : public ServerConnection,
                       public H2Session,
                       public std::enable_shared_from_this<H2Server> {
 public:
  H2Server(std::shared_ptr<Transport> transport, ServerOptions options);

  Task<> run() override;
  void drain() override;
  void close() override;
  std::size_t active() const override { return running_; }
  std::uint64_t served() const override { return served_; }

 private:
  friend class H2Exchange;
  using TimePoint = SteadyClock::time_point;

  void on_begin_headers(const nghttp2_frame& frame) override;
  void on_header(const nghttp2_frame& frame, std::string_view name, std::string_view value,
                 bool valid) override;
  void on_headers(const nghttp2_frame& frame) override;
  void on_ping_ack(const std::uint8_t* opaque) override;
  void on_end_sent(H2Stream& stream) override;
  void on_closed(H2Stream& stream) override;
  void after_input() override;
  void after_output() override { cancel_now(); }
  void on_failed() override;
  Error closed_error(std::uint32_t code) const override;

  Task<> serve(std::shared_ptr<H2Exchange> exchange);
  Task<> watch();
  TimePoint check_deadlines(TimePoint now);
  void submit(H2Exchange& exchange, ResponseHead head, bool end);
  void answer(H2Exchange& exchange, StatusAnswer answer);
  [[nodiscard]] bool in_header() const;
  void cancel_now();
  void reset_unread(TimePoint now);
  void final_goaway();

  ServerOptions options_;
  Timer timer_;
  std::vector<std::shared_ptr<H2Exchange>> ready_;   // to be started after the input
  std::vector<std::shared_ptr<H2Exchange>> doomed_;  // to be cancelled after the input
  /// Answered, while the rest of their request is on its way: when that is not waited for any more.
  std::deque<std::pair<std::int32_t, TimePoint>> unread_;
  std::size_t running_ = 0;
  std::uint64_t served_ = 0;
  TimePoint started_ = SteadyClock::now();
  TimePoint idle_since_ = started_;
  TimePoint header_since_ = started_;
  std::int32_t header_stream_ = 0;  // whose head began at header_since_
  std::optional<TimePoint> drain_until_;
  bool received_ = false;
  bool draining_ = false;
  bool goaway_sent_ = false;
};

}  // namespace holdfast::http
