#include <gtest/gtest.h>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>

#include "fakes.h"
#include "holdfast/base/nursery.h"

namespace holdfast::upstream {
namespace {

using namespace std::chrono_literals;
using Stream = std::unique_ptr<http::ClientStream>;

class PoolTest : public testing::Test {
 protected:
  PoolTest() { make({.servers = {{.host = "a"}}, .prober = false}); }
  ~PoolTest() override {
    streams_.clear();
    tests_.spawn("shutdown", pool_->shutdown());
    poll();
    EXPECT_EQ(tests_.size(), 0u);
  }

  void make(PoolOptions options) {
    if (pool_) {
      tests_.spawn("shutdown", pool_->shutdown());
      poll();
    }
    network_->dials.clear();
    network_->connections.clear();
    link_ = LinkMonitor::create({.servers = options.servers.size()}, clock_);
    pool_ = Pool::create(io_.get_executor(), std::move(options), link_,
                         std::make_unique<FakeDialer>(network_), clock_);
  }
  void poll() {
    io_.restart();
    io_.poll();
  }
  void tick(std::chrono::milliseconds after = 0ms) {
    clock_.advance(after);
    pool_->tick();
    poll();
  }
  /// Time passes as it does for the agent: in small steps.
  void pass(std::chrono::milliseconds time) {
    for (auto t = 0ms; t < time; t += 250ms) tick(250ms);
  }

  static Task<> open_into(Pool* pool, Identity identity, StickyServer* sticky, std::string token,
                          std::vector<Result<Stream>>* out) {
    http::RequestHead head{.method = "GET", .target = "/api"};
    if (!token.empty()) head.headers.add("authorization", "Bearer " + token);
    auto opened = co_await pool->open(std::move(identity), std::move(head), true, *sticky);
    out->push_back(std::move(opened));
  }
  void start_open(Identity identity = {}, std::string token = {}) {
    tests_.spawn("open",
                 open_into(pool_.get(), std::move(identity), &sticky_, std::move(token), &opened_));
    poll();
  }
  /// Asks with a token, and takes the answer.
  void ask(std::string token) {
    opened_.clear();
    start_open({}, std::move(token));
    ASSERT_EQ(opened_.size(), 1u);
    ASSERT_TRUE(opened_.front());
    streams_.push_back(std::move(*opened_.front()));
    const auto answer = [](http::ClientStream* stream) -> Task<> {
      (void)co_await stream->response();
    };
    tests_.spawn("answer", answer(streams_.back().get()));
    poll();
  }
  /// Opens a stream and keeps it; the error, if there is one.
  std::optional<Error> open(Identity identity = {}) {
    opened_.clear();
    start_open(std::move(identity));
    EXPECT_EQ(opened_.size(), 1u);
    if (opened_.empty()) return make_error(Errc::kTimeout);
    if (!opened_.front()) return opened_.front().error();
    streams_.push_back(std::move(*opened_.front()));
    return std::nullopt;
  }
  FakeConnection& connection(std::size_t i) { return *network_->connections.at(i); }
  std::string dialled() const {
    std::string out;
    for (const auto& dial : network_->dials) out += dial.host;
    return out;
  }

  boost::asio::io_context io_;
  FakeClock clock_;
  std::shared_ptr<FakeNetwork> network_ = std::make_shared<FakeNetwork>(io_.get_executor(), clock_);
  Nursery tests_{io_.get_executor()};
  std::shared_ptr<LinkMonitor> link_;
  std::unique_ptr<Pool> pool_;
  StickyServer sticky_;
  std::vector<Result<Stream>> opened_;
  std::vector<Stream> streams_;
};

TEST_F(PoolTest, ManyStreamsShareAConnection) {
  for (int i = 0; i < 50; ++i) ASSERT_FALSE(open());
  EXPECT_EQ(dialled(), "a");
  EXPECT_EQ(pool_->stats().streams, 50u);
  EXPECT_EQ(pool_->stats().requests, 50u);
  EXPECT_EQ(sticky_.server->host, "a");
}

TEST_F(PoolTest, IdentitiesNeverShareAConnection) {
  const auto kubelet = std::make_shared<FakeIdentity>("kubelet");
  const auto proxy = std::make_shared<FakeIdentity>("proxy");
  for (int i = 0; i < 3; ++i) {
    ASSERT_FALSE(open());
    ASSERT_FALSE(open(kubelet));
    ASSERT_FALSE(open(proxy));
  }
  ASSERT_FALSE(open(std::make_shared<FakeIdentity>("kubelet")));  // read again from the disk
  ASSERT_EQ(network_->dials.size(), 3u);
  EXPECT_EQ(network_->dials[0].fingerprint, "");
  EXPECT_EQ(network_->dials[1].fingerprint, "kubelet");
  EXPECT_EQ(network_->dials[2].fingerprint, "proxy");
  EXPECT_EQ(connection(0).streams, 3u);
  EXPECT_EQ(connection(1).streams, 4u);
}

TEST_F(PoolTest, AnotherConnectionWhenStreamsAreUsedUp) {
  network_->servers["a"].streams = 2;
  for (int i = 0; i < 5; ++i) ASSERT_FALSE(open());
  EXPECT_EQ(dialled(), "aaa");
  EXPECT_EQ(connection(2).streams, 1u);
}

TEST_F(PoolTest, ConnectionsAreBounded) {
  network_->servers["a"].streams = 1;
  make({.servers = {{.host = "a"}}, .connections_per_key = 2, .prober = false});
  ASSERT_FALSE(open());
  ASSERT_FALSE(open());
  const auto error = open();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, make_error_code(Errc::kUnavailable));
  streams_.pop_back();
  EXPECT_FALSE(open());
}

TEST_F(PoolTest, ConnectionsThatTakeNoMoreRequestsDoNotCount) {
  make({.servers = {{.host = "a"}}, .connections_per_key = 2, .prober = false});
  for (std::size_t i = 0; i < 40; ++i) {
    ASSERT_FALSE(open()) << i;  // a watch, which goes on
    connection(i).goaway = true;
  }
  EXPECT_EQ(pool_->stats().connections, 40u);
  for (int i = 0; i < 300 && !open(); ++i) network_->connections.back()->goaway = true;
  EXPECT_EQ(pool_->stats().connections, 256u) << "but there is an end to it";
}

TEST_F(PoolTest, ATokenThatIsNotProvenTravelsApart) {
  ask("good");
  ASSERT_EQ(network_->connections.size(), 1u);
  connection(0).status = 200;
  ask("good");  // it is proven now
  ask("good");  // on a connection of its own, which says 401
  ASSERT_EQ(network_->connections.size(), 2u);
  connection(1).status = 200;
  ask("good");  // proven again
  ask("good");
  EXPECT_EQ(connection(1).streams, 2u);
  connection(0).status = 401;
  ask("bad");
  ask("bad");
  EXPECT_FALSE(open());  // anonymous
  EXPECT_EQ(connection(0).streams, 6u);
  connection(0).goaway = true;  // what that costs
  ask("bad");
  ask("good");
  EXPECT_EQ(network_->connections.size(), 3u);
  EXPECT_EQ(connection(1).streams, 3u);
  connection(1).status = 401;  // expired
  ask("good");
  ask("good");
  EXPECT_EQ(connection(1).streams, 4u);
  EXPECT_EQ(connection(2).streams, 2u);
}

TEST_F(PoolTest, ACertificateIsItsOwnProof) {
  const auto kubelet = std::make_shared<FakeIdentity>("kubelet");
  ASSERT_FALSE(open(kubelet));
  start_open(kubelet, "a token as well");
  EXPECT_EQ(dialled(), "a");
}

TEST_F(PoolTest, WaitersShareOneDialAndMayLeave) {
  network_->hold = true;
  for (int i = 0; i < 10; ++i) start_open();
  EXPECT_EQ(dialled(), "a");
  tests_.cancel();
  poll();
  EXPECT_EQ(tests_.size(), 0u);
  network_->hold = false;
  network_->released.notify_all();
  poll();
  // The connect went on for whoever comes next.
  ASSERT_FALSE(open());
  EXPECT_EQ(dialled(), "a");
}

TEST_F(PoolTest, Http1TakesAConnectionForEachRequest) {
  network_->servers["a"].alpn = "http/1.1";
  for (int i = 0; i < 20; ++i) ASSERT_FALSE(open());
  EXPECT_EQ(network_->connections.size(), 20u);
  streams_.clear();
  ASSERT_FALSE(open());
  EXPECT_EQ(network_->connections.size(), 20u);
}

TEST_F(PoolTest, AFailedConnectTriesTheNextServerAndBacksOff) {
  make({.servers = {{.host = "a"}, {.host = "b"}}, .prober = false});
  network_->servers["a"].error = make_error(Errc::kRefused, "a refused");
  ASSERT_FALSE(open());
  EXPECT_EQ(dialled(), "ab");
  EXPECT_EQ(sticky_.server->host, "b");
  ASSERT_FALSE(open());
  EXPECT_EQ(dialled(), "ab");
  EXPECT_EQ(pool_->stats().connect_failures, 1u);
}

TEST_F(PoolTest, NoServerIsAnErrorThatSaysWhy) {
  network_->servers["a"].error = make_error(Errc::kTimeout, "a: no answer");
  auto error = open();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, make_error_code(Errc::kUnavailable));
  EXPECT_NE(error->message.find("a: no answer"), std::string::npos);
  error = open();  // backing off: at once
  ASSERT_TRUE(error);
  EXPECT_NE(error->message.find("a: no answer"), std::string::npos);
  EXPECT_EQ(dialled(), "a");
  clock_.advance(250ms);
  EXPECT_TRUE(open());
  EXPECT_EQ(dialled(), "aa");
}

TEST_F(PoolTest, ARequestThatMayHaveBeenSentIsNotSentAgain) {
  make({.servers = {{.host = "a"}, {.host = "b"}}, .prober = false});
  ASSERT_FALSE(open());
  connection(0).open_error = make_error(Errc::kReset);
  const auto error = open();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, make_error_code(Errc::kReset));
  EXPECT_EQ(dialled(), "a");
}

TEST_F(PoolTest, GoawayMovesNewRequestsToANewConnection) {
  ASSERT_FALSE(open());
  connection(0).goaway = true;
  tick(1s);
  ASSERT_FALSE(open());
  EXPECT_EQ(dialled(), "aa");
  EXPECT_FALSE(connection(0).closed);  // its stream goes on
  EXPECT_EQ(pool_->stats().goaways, 1u);
  streams_.erase(streams_.begin());
  tick(250ms);
  EXPECT_TRUE(connection(0).closed);
  EXPECT_EQ(link_->state(), Link::kOnline);
  tick(250ms);
  EXPECT_EQ(pool_->stats().connections, 1u);
}

TEST_F(PoolTest, IdleConnectionsAreClosed) {
  ASSERT_FALSE(open());
  pass(120s);
  EXPECT_FALSE(connection(0).closed);  // in use
  streams_.clear();
  pass(89s);
  EXPECT_FALSE(connection(0).closed);
  pass(2s);
  EXPECT_TRUE(connection(0).closed);
  EXPECT_EQ(pool_->stats().connections, 0u);
}

TEST_F(PoolTest, ConnectionsArePingedWithJitter) {
  ASSERT_FALSE(open());
  tick();
  EXPECT_EQ(connection(0).pings, 1);  // the first measures the round trip
  pass(7750ms);
  EXPECT_EQ(connection(0).pings, 1);
  pass(4500ms);
  EXPECT_EQ(connection(0).pings, 2);
  pass(100s);
  EXPECT_GE(connection(0).pings, 9);
  EXPECT_LE(connection(0).pings, 15);
  EXPECT_EQ(link_->state(), Link::kOnline);
  EXPECT_EQ(link_->snapshot().srtt, 10ms);
}

TEST_F(PoolTest, ASilentConnectionIsDoubtedAndThenClosed) {
  ASSERT_FALSE(open());
  tick();
  connection(0).answers = false;
  pass(13500ms);
  EXPECT_EQ(connection(0).pings, 2);
  EXPECT_NE(link_->state(), Link::kOnline);
  // New requests look for a better one.
  ASSERT_FALSE(open());
  EXPECT_EQ(dialled(), "aa");
  connection(0).ping_dies = true;
  connection(0).pong.notify_all();
  poll();
  EXPECT_TRUE(connection(0).closed);
}

TEST_F(PoolTest, OneThatSpeaksIsNotClosedForALatePing) {
  ASSERT_FALSE(open());
  tick();
  connection(0).answers = false;
  while (connection(0).pings < 2) tick(250ms);
  tick(1s);
  connection(0).received = clock_.now();  // bulk data, and the answer stuck behind it
  tick(13s);
  connection(0).ping_dies = true;
  connection(0).pong.notify_all();
  poll();
  EXPECT_FALSE(connection(0).closed);
  connection(0).ping_dies = false;
  tick(250ms);
  EXPECT_EQ(connection(0).pings, 3);
  connection(0).ping_dies = true;
  connection(0).pong.notify_all();
  poll();
  EXPECT_TRUE(connection(0).closed) << "nothing came since it was asked again";
}

TEST_F(PoolTest, ADoubtedConnectionThatSpeaksIsTrustedAgain) {
  ASSERT_FALSE(open());
  tick();
  connection(0).answers = false;
  pass(16s);
  EXPECT_EQ(link_->state(), Link::kOffline);
  connection(0).answers = true;
  connection(0).pong.notify_all();
  poll();
  EXPECT_EQ(link_->state(), Link::kOnline);
  ASSERT_FALSE(open());
  EXPECT_EQ(dialled(), "a");
}

TEST_F(PoolTest, BulkDataExcusesALatePing) {
  ASSERT_FALSE(open());
  tick();
  connection(0).answers = false;
  for (int i = 0; i < 80; ++i) {
    connection(0).received = clock_.now();
    tick(250ms);
  }
  EXPECT_EQ(connection(0).pings, 2);
  EXPECT_EQ(link_->state(), Link::kOnline);
}

TEST_F(PoolTest, AnUploadThatMovesIsASignOfLife) {
  ASSERT_FALSE(open());
  tick();
  connection(0).answers = false;
  connection(0).sending = {.acknowledged = 0, .waiting = 1'000'000};
  for (int i = 0; i < 80; ++i) {
    connection(0).sending.acknowledged += 8'000;
    connection(0).sending.waiting -= 8'000;
    tick(250ms);
  }
  EXPECT_EQ(link_->state(), Link::kOnline);
  pass(5s);  // it stands still
  EXPECT_EQ(link_->state(), Link::kOffline);
}

TEST_F(PoolTest, AServerThatHangsBehindAKernelThatAcknowledgesIsNoticed) {
  ASSERT_FALSE(open());
  tick();
  connection(0).answers = false;
  for (int i = 0; i < 80; ++i) {
    connection(0).sending.acknowledged += 600;  // PINGs and small requests
    connection(0).sending.waiting = i % 2 ? 0 : 600;
    tick(250ms);
  }
  EXPECT_EQ(link_->state(), Link::kOffline);
}

TEST_F(PoolTest, SuspicionPingsAtOnce) {
  ASSERT_FALSE(open());
  tick();
  tick(3s);
  EXPECT_EQ(link_->state(), Link::kOnline);
  EXPECT_EQ(connection(0).pings, 1);
  link_->patience_expired();
  tick(250ms);
  EXPECT_EQ(connection(0).pings, 2);
  EXPECT_EQ(link_->state(), Link::kOnline);
}

TEST_F(PoolTest, ABrokenConnectionIsAskedAboutAtOnce) {
  ASSERT_FALSE(open());
  tick();
  ASSERT_EQ(link_->state(), Link::kOnline);
  connection(0).close();  // from the other side
  poll();
  EXPECT_EQ(dialled(), "aa");
  EXPECT_EQ(connection(1).targets, std::vector<std::string>{"/readyz"});
  pass(2s);
  EXPECT_EQ(link_->snapshot().transitions, 1u);
}

TEST_F(PoolTest, ABrokenConnectionWithoutAnAnswerMakesTheLinkSuspect) {
  ASSERT_FALSE(open());
  tick();
  network_->hold = true;  // connects hang
  connection(0).close();
  poll();
  pass(750ms);
  EXPECT_EQ(link_->state(), Link::kOnline);
  pass(250ms);
  EXPECT_EQ(link_->state(), Link::kSuspect);
  pass(3s);
  EXPECT_EQ(link_->state(), Link::kOffline);
}

TEST_F(PoolTest, TheProberFindsOutAtOnce) {
  make({.servers = {{.host = "a"}}, .probe_token = "agents-own"});
  tick();
  EXPECT_EQ(link_->state(), Link::kOnline);  // by a 401
  EXPECT_EQ(connection(0).targets, std::vector<std::string>{"/readyz"});
  EXPECT_EQ(connection(0).authorizations, std::vector<std::string>{"Bearer agents-own"});
  pass(60s);  // its connection is pinged from now on
  EXPECT_EQ(connection(0).targets.size(), 1u);
  EXPECT_GE(connection(0).pings, 4);
}

TEST_F(PoolTest, TheProberBringsTheLinkBack) {
  make({.servers = {{.host = "a"}}});
  network_->servers["a"].error = make_error(Errc::kRefused, "refused");
  tick();
  EXPECT_EQ(link_->state(), Link::kOffline);
  pass(60s);
  EXPECT_LE(network_->dials.size(), 12u);
  EXPECT_GE(network_->dials.size(), 7u);
  EXPECT_TRUE(open());
  network_->servers["a"].error.reset();
  pass(10s);
  EXPECT_EQ(link_->state(), Link::kOnline);
  EXPECT_EQ(link_->snapshot().generation, 1u);
  EXPECT_FALSE(open());  // no backoff is left
}

TEST_F(PoolTest, TheProberNoticesABreakWithoutTraffic) {
  make({.servers = {{.host = "a"}}});
  tick();
  network_->servers["a"].error = make_error(Errc::kRefused, "refused");
  connection(0).close();
  poll();
  tick(250ms);
  EXPECT_EQ(link_->state(), Link::kOffline);
}

TEST_F(PoolTest, AProbeIsNotDeceivedByDeadConnections) {
  make({.servers = {{.host = "a"}}});
  network_->servers["a"].alpn = "http/1.1";
  for (int i = 0; i < 20; ++i) ASSERT_FALSE(open());
  streams_.clear();
  tick();
  ASSERT_EQ(link_->state(), Link::kOnline);
  for (const auto& connection : network_->connections) connection->dead = true;
  network_->servers["a"].error = make_error(Errc::kRefused, "refused");
  pass(12s);  // one probe
  EXPECT_EQ(link_->state(), Link::kOffline);
}

TEST_F(PoolTest, AProbeThatIsSwallowedIsReported) {
  make({.servers = {{.host = "a"}}});
  network_->servers["a"].alpn = "http/1.1";
  for (int i = 0; i < 20; ++i) ASSERT_FALSE(open());
  streams_.clear();
  tick();
  ASSERT_EQ(link_->state(), Link::kOnline);
  // From here on no probe is answered, so that a busy machine can't make a short patience matter.
  pool_->configure({.servers = {{.host = "a"}}, .probe_answer = 1ms}, nullptr);
  for (const auto& connection : network_->connections) connection->swallows = true;
  network_->hold = true;  // SYNs are swallowed too
  for (int i = 0; i < 60 && link_->state() == Link::kOnline; ++i) {
    tick(250ms);
    io_.run_for(2ms);
  }
  EXPECT_EQ(link_->state(), Link::kSuspect);
  poll();
  EXPECT_EQ(pool_->stats().connections, 0u) << "those that were idle are as dead";
  pass(3s);
  EXPECT_EQ(link_->state(), Link::kOffline);
}

TEST_F(PoolTest, AServerThatRecoversIsFoundAgain) {
  make({.servers = {{.host = "a"}, {.host = "b"}}, .prober = false});
  network_->servers["a"].error = make_error(Errc::kRefused, "a refused");
  ASSERT_FALSE(open());
  tick();
  network_->servers["a"].error.reset();
  pass(2s);
  sticky_ = {};
  connection(0).goaway = true;  // b restarts
  ASSERT_FALSE(open());
  EXPECT_EQ(sticky_.server->host, "a");
}

TEST_F(PoolTest, EveryServerIsMeasuredAndTheFastestPreferred) {
  make({.servers = {{.host = "a"}, {.host = "b"}}});
  network_->servers["a"].ping = 200ms;
  pass(1s);
  EXPECT_EQ(dialled(), "ab");
  ASSERT_FALSE(open());
  EXPECT_EQ(sticky_.server->host, "b");
  sticky_.server = Server{.host = "a"};  // a client that began there stays
  ASSERT_FALSE(open());
  EXPECT_EQ(sticky_.server->host, "a");
  streams_.clear();
  pass(10min);
  EXPECT_EQ(dialled(), "ab") << "one connection to each stays";
}

TEST_F(PoolTest, ASilentServerLosesItsClientsWhileAnotherSpeaks) {
  make({.servers = {{.host = "a"}, {.host = "b"}}});
  pass(1s);
  ASSERT_FALSE(open());
  ASSERT_EQ(sticky_.server->host, "a");
  pass(5s);
  connection(0).answers = false;
  network_->servers["a"].error = make_error(Errc::kTimeout, "a: no answer");
  pool_->late(sticky_);
  tick(250ms);
  tick(1s);
  EXPECT_EQ(link_->state(), Link::kOnline);
  ASSERT_FALSE(open());
  EXPECT_EQ(sticky_.server->host, "b") << "new requests at once";
  EXPECT_FALSE(connection(0).closed);
  pass(4s);
  EXPECT_TRUE(connection(0).closed) << "and those that wait a little later";
  EXPECT_EQ(link_->state(), Link::kOnline);
}

TEST_F(PoolTest, UpgradesGetAConnectionOfTheirOwn) {
  ASSERT_FALSE(open());
  bool done = false;
  const auto dial = [](Pool* pool, StickyServer* sticky, bool* out) -> Task<> {
    *out = (co_await pool->dial_http1({}, *sticky)).has_value();
  };
  tests_.spawn("dial", dial(pool_.get(), &sticky_, &done));
  poll();
  EXPECT_TRUE(done);
  ASSERT_EQ(network_->dials.size(), 2u);
  EXPECT_EQ(network_->dials[1].protocol, Dialer::Protocol::kHttp11);
}

TEST_F(PoolTest, ANewConfigurationRetiresWhatIsGone) {
  ASSERT_FALSE(open());
  pool_->configure({.servers = {{.host = "b"}}, .prober = false}, nullptr);
  ASSERT_FALSE(open());
  EXPECT_EQ(dialled(), "ab");
  tick(250ms);
  EXPECT_FALSE(connection(0).closed);
  streams_.clear();
  tick(250ms);
  EXPECT_TRUE(connection(0).closed);
  EXPECT_FALSE(connection(1).closed);
  // Another CA: all connections are made again.
  pool_->configure({.servers = {{.host = "b"}}, .prober = false},
                   std::make_unique<FakeDialer>(network_));
  ASSERT_FALSE(open());
  EXPECT_EQ(dialled(), "abb");
}

TEST_F(PoolTest, ShutdownEndsThoseWhoWait) {
  network_->hold = true;
  start_open();
  tests_.spawn("shutdown", pool_->shutdown());
  poll();
  EXPECT_EQ(tests_.size(), 0u);
  ASSERT_EQ(opened_.size(), 1u);
  EXPECT_FALSE(opened_.front());
}

}  // namespace
}  // namespace holdfast::upstream
