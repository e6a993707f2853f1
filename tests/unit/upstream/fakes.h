#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fake_clock.h"
#include "holdfast/base/event.h"
#include "holdfast/upstream/pool.h"

namespace holdfast::upstream {

class FakeIdentity final : public ClientIdentity {
 public:
  explicit FakeIdentity(std::string name) : name_{std::move(name)} {}
  const std::string& fingerprint() const override { return name_; }
  const std::string& common_name() const override { return name_; }
  std::chrono::system_clock::time_point not_after() const override { return {}; }
  Result<void> apply(SSL*) const override { return {}; }

 private:
  std::string name_;
};

/// A connection whose other end the test plays.
struct FakeConnection final : http::ClientConnection {
  FakeConnection(Executor executor, const FakeClock& c, std::size_t most)
      : clock{c}, limit{most}, ended{executor}, pong{executor}, received{c.now()} {}

  struct Stream final : http::ClientStream {
    explicit Stream(FakeConnection& c) : connection{c.weak} { ++c.streams; }
    ~Stream() override {
      if (const auto alive = connection.lock()) --alive->streams;
    }
    Task<Result<http::ResponseHead>> response() override {
      const auto alive = connection.lock();
      if (alive && alive->dead) alive->close();
      while (alive && alive->swallows && !alive->closed) co_await alive->pong.wait();
      const bool silent = alive && alive->swallows;
      if (!alive || !alive->answers || alive->dead || silent) co_return make_error(Errc::kReset);
      http::ResponseHead head;
      head.status = alive->status;
      co_return head;
    }
    Task<Result<Slice>> read() override { co_return Slice{}; }
    Task<Result<void>> write(Slice, bool) override { co_return Result<void>{}; }
    void cancel() override {
      // HTTP/1.1 has no other way to take a request back.
      if (const auto alive = connection.lock(); alive && alive->swallows) alive->close();
    }
    std::weak_ptr<FakeConnection> connection;
  };

  Task<> run() override {
    while (!closed) co_await ended.wait();
  }
  Task<Result<std::unique_ptr<http::ClientStream>>> open(http::RequestHead head, bool) override {
    targets.push_back(head.target);
    authorizations.push_back(head.headers.size() > 0 ? head.headers.begin()->value : "");
    if (open_error) co_return *open_error;
    co_return std::make_unique<Stream>(*this);
  }
  Task<Result<std::chrono::nanoseconds>> ping(std::chrono::milliseconds) override {
    ++pings;
    while (!answers && !closed && !ping_dies) co_await pong.wait();
    if (ping_dies) co_return make_error(Errc::kTimeout);
    if (closed) co_return make_error(Errc::kClosed);
    received = clock.now();
    co_return round_trip;
  }
  bool going_away() const override { return goaway || dead; }
  bool usable() const override { return !closed && !goaway && streams < limit; }
  std::size_t active() const override { return streams; }
  SteadyClock::time_point last_received() const override { return received; }
  http::Upload upload() const override { return sending; }
  void close() override {
    closed = true;
    ended.notify_all();
    pong.notify_all();
  }

  const FakeClock& clock;
  std::size_t limit;
  Event ended, pong;
  SteadyClock::time_point received;
  std::weak_ptr<FakeConnection> weak;
  std::chrono::nanoseconds round_trip{10'000'000};
  http::Upload sending;
  std::size_t streams = 0;
  int pings = 0;
  bool closed = false, goaway = false, answers = true, ping_dies = false;
  bool swallows = false;  ///< HTTP/1.1 over a line that drops everything
  unsigned status = 401;
  bool dead = false;  ///< idle HTTP/1.1: nobody is told until it is used
  std::optional<Error> open_error;
  std::vector<std::string> targets, authorizations;
};

/// What the test decides about the network, shared with the dialers that the pool owns.
struct FakeNetwork {
  FakeNetwork(Executor e, const FakeClock& c) : executor{e}, clock{c}, released{e} {}

  struct Server {
    std::optional<Error> error;
    std::string alpn = "h2";
    std::size_t streams = 100;
    std::chrono::milliseconds ping{10};
  };
  struct Dial {
    std::string host, fingerprint;
    Dialer::Protocol protocol;
  };
  Executor executor;
  const FakeClock& clock;
  Event released;
  bool hold = false;  ///< dials wait until it is cleared
  std::map<std::string, Server> servers;
  std::vector<Dial> dials;
  std::vector<std::shared_ptr<FakeConnection>> connections;
};

class FakeDialer final : public Dialer {
 public:
  explicit FakeDialer(std::shared_ptr<FakeNetwork> network) : network_{std::move(network)} {}

  Task<Result<Dialed>> dial(Server server, Identity identity, Protocol protocol) override {
    network_->dials.push_back(
        {server.host, identity ? identity->fingerprint() : std::string{}, protocol});
    while (network_->hold) co_await network_->released.wait();
    last_ = network_->servers[server.host];
    if (last_.error) co_return *last_.error;
    Dialed dialed;
    dialed.alpn = last_.alpn;
    co_return dialed;
  }
  std::shared_ptr<http::ClientConnection> connection(Dialed dialed, http::ClientLimits) override {
    auto made = std::make_shared<FakeConnection>(network_->executor, network_->clock,
                                                 dialed.alpn == "h2" ? last_.streams : 1);
    made->weak = made;
    made->round_trip = last_.ping;
    network_->connections.push_back(made);
    return made;
  }

 private:
  std::shared_ptr<FakeNetwork> network_;
  FakeNetwork::Server last_;
};

}  // namespace holdfast::upstream
