#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <memory>
#include <optional>

#include "holdfast/http/server.h"
#include "http/children.h"
#include "http/fields.h"
#include "http/h1_parser.h"
#include "http/h1_wire.h"

namespace holdfast::http {

class H1Server;

/// A request on an HTTP/1.1 connection.
class H1Exchange final : public Exchange, public std::enable_shared_from_this<H1Exchange> {
 public:
  H1Exchange(std::shared_ptr<H1Server> server, std::unique_ptr<H1Parser> parser, SliceQueue body,
             RequestHead request);

  const RequestHead& request() const override { return request_; }
  const std::shared_ptr<void>& context() const override;
  Task<Result<Slice>> read() override;
  Task<Result<void>> respond(ResponseHead head, bool end) override;
  Task<Result<void>> write(Slice bytes, bool end) override;
  void abort() override;
  bool responded() const override { return responded_; }
  Task<Result<std::unique_ptr<Transport>>> upgrade(ResponseHead head) override;

 private:
  friend class H1Server;
  enum class Framing { kNone, kLength, kChunked, kUntilClose };

  Task<Result<void>> answer(StatusAnswer answer);

  std::shared_ptr<H1Server> server_;
  std::unique_ptr<H1Parser> parser_;
  SliceQueue body_;
  RequestHead request_;
  boost::asio::cancellation_signal cancel_;
  Framing framing_ = Framing::kNone;
  std::uint64_t remaining_ = 0;
  bool expects_continue_ = false;
  bool keep_alive_ = true;
  bool running_ = false;
  bool responded_ = false;
  bool complete_ = false;  // the response
  bool upgraded_ = false;
};

class H1Server final : public ServerConnection, public std::enable_shared_from_this<H1Server> {
 public:
  H1Server(std::shared_ptr<Transport> transport, ServerOptions options);

  Task<> run() override;
  void drain() override;
  void close() override;
  std::size_t active() const override { return current_ && current_->running_ ? 1 : 0; }
  std::uint64_t served() const override { return served_; }

 private:
  friend class H1Exchange;
  friend class H1Upgraded;
  enum class Phase { kFirstByte, kIdle, kHead, kBusy };

  Task<> serve_all();
  Task<std::shared_ptr<H1Exchange>> next_request();
  Task<> refuse(Error error);
  Task<bool> discard_body();
  Task<> serve(std::shared_ptr<H1Exchange> exchange);
  Task<> read_input();
  Task<> watch();
  void enter(Phase phase);

  std::shared_ptr<Transport> transport_;
  ServerOptions options_;
  H1Wire wire_;
  Children children_;
  Timer timer_;
  std::shared_ptr<H1Exchange> current_;
  std::uint64_t served_ = 0;
  Phase phase_ = Phase::kFirstByte;
  SteadyClock::time_point phase_since_ = SteadyClock::now();
  bool draining_ = false;
  bool stopped_ = false;
  bool handed_over_ = false;  // an upgraded transport is out there
};

}  // namespace holdfast::http
