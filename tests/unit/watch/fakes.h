#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/base/event.h"
#include "holdfast/http/exchange.h"
#include "holdfast/http/transport.h"
#include "holdfast/upstream/pool.h"

namespace holdfast::watch {

/// The link as the test says it is.
class FakeLink final : public upstream::LinkMonitor {
 public:
  void progress(std::size_t, SteadyClock::time_point) override {}
  void progress(std::size_t) override {}
  void connect_failed(std::size_t, upstream::ConnectFailure) override {}
  void ping_ok(std::size_t, std::chrono::nanoseconds) override {}
  void ping_failed(std::size_t) override {}
  void probe_ok(std::size_t) override {}
  void patience_expired() override {}
  void late(std::size_t) override {}
  void told_ready(std::size_t, bool) override {}
  void tick() override {}
  void set_servers(std::size_t) override {}
  upstream::Link state() const override { return now; }
  upstream::ServerHealth health(std::size_t) const override { return {}; }
  upstream::LinkSnapshot snapshot() const override { return {.state = now}; }
  std::shared_ptr<void> subscribe(Executor, Subscriber) override { return {}; }

  upstream::Link now = upstream::Link::kOnline;
};

/// One upstream stream, whose other end the test plays.
struct Script {
  explicit Script(Executor executor) : changed{executor} {
    head.headers.add("content-type", "application/json");
  }
  void send(std::string text) { push(Slice::own(std::move(text))); }
  void end() { push(Slice{}); }
  void cut() { push(make_error(Errc::kReset)); }
  void push(Result<Slice> piece) {
    pieces.push_back(std::move(piece));
    changed.notify_all();
  }

  /// The head comes with `answer` only.
  void withhold() { withheld = true; }
  void answer() {
    withheld = false;
    changed.notify_all();
  }

  std::string sent;  ///< the request's body
  http::ResponseHead head{.status = 200};
  std::deque<Result<Slice>> pieces;
  Event changed;
  bool cancelled = false, withheld = false;
  bool lives = false;  ///< the server answers PINGs
  SteadyClock::time_point heard{};
};

class FakeStream final : public http::ClientStream {
 public:
  explicit FakeStream(std::shared_ptr<Script> script) : script_{std::move(script)} {}
  ~FakeStream() override { script_->cancelled = true; }
  Task<Result<http::ResponseHead>> response() override {
    const auto script = script_;
    while (script->withheld && !script->cancelled) co_await script->changed.wait();
    if (script->withheld) co_return make_error(Errc::kCancelled);
    co_return script->head;
  }
  SteadyClock::time_point last_received() const override { return script_->heard; }
  void nudge() override {
    if (script_->lives) script_->heard = SteadyClock::now();
  }
  Task<Result<Slice>> read() override {
    const auto script = script_;
    while (script->pieces.empty() && !script->cancelled) co_await script->changed.wait();
    if (script->pieces.empty()) co_return make_error(Errc::kCancelled);
    auto piece = std::move(script->pieces.front());
    script->pieces.pop_front();
    co_return piece;
  }
  Task<Result<void>> write(Slice bytes, bool) override {
    script_->sent += bytes.view();
    co_return Result<void>{};
  }
  void cancel() override {
    script_->cancelled = true;
    script_->changed.notify_all();
  }

 private:
  std::shared_ptr<Script> script_;
};

/// Answers requests with scripts, in order; kUnavailable when there is none left.
class FakePool final : public upstream::Pool {
 public:
  Task<Result<std::unique_ptr<http::ClientStream>>> open(upstream::Identity, http::RequestHead head,
                                                         bool, upstream::StickyServer&) override {
    opened.push_back(std::move(head));
    if (scripts.empty()) co_return make_error(Errc::kUnavailable);
    auto script = scripts.front();
    scripts.pop_front();
    co_return std::make_unique<FakeStream>(std::move(script));
  }
  Task<Result<std::shared_ptr<http::Transport>>> dial_http1(upstream::Identity,
                                                            upstream::StickyServer&) override {
    co_return make_error(Errc::kUnavailable);
  }
  void late(const upstream::StickyServer&) override { ++lates; }
  Task<> run() override { co_return; }
  void tick() override {}
  Task<> shutdown() override { co_return; }
  void configure(upstream::PoolOptions, std::unique_ptr<upstream::Dialer>) override {}
  upstream::PoolStats stats() const override { return {}; }

  int lates = 0;

  std::vector<http::RequestHead> opened;
  std::deque<std::shared_ptr<Script>> scripts;
};

/// What a client sees of its request.
class FakeExchange final : public http::Exchange {
 public:
  FakeExchange(http::RequestHead head, std::shared_ptr<void> context)
      : head_{std::move(head)}, context_{std::move(context)} {}
  const http::RequestHead& request() const override { return head_; }
  const std::shared_ptr<void>& context() const override { return context_; }
  Task<Result<Slice>> read() override { co_return std::exchange(sent, Slice{}); }
  Task<Result<void>> respond(http::ResponseHead head, bool end) override {
    answer = std::move(head);
    ended = end;
    co_return Result<void>{};
  }
  Task<Result<void>> write(Slice bytes, bool end) override {
    const auto hold = reads_on;
    while (hold && !reads) co_await hold->wait();
    body += bytes.view();
    ended = ended || end;
    co_return Result<void>{};
  }
  /// The client reads nothing until `read_on`.
  void stop_reading(Executor executor) {
    reads_on = std::make_shared<Event>(executor);
    reads = false;
  }
  void read_on() {
    reads = true;
    reads_on->notify_all();
  }
  void abort() override { aborted = true; }
  bool responded() const override { return answer.status != 0; }
  Task<Result<std::unique_ptr<http::Transport>>> upgrade(http::ResponseHead) override {
    co_return make_error(Errc::kUnsupported);
  }

  Slice sent;  ///< the request's body
  http::ResponseHead answer{.status = 0};
  std::string body;
  bool ended = false, aborted = false;

 private:
  std::shared_ptr<Event> reads_on;
  bool reads = true;
  http::RequestHead head_;
  std::shared_ptr<void> context_;
};

}  // namespace holdfast::watch
