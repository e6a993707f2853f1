#include <gtest/gtest.h>

#include <cerrno>

#include "fake_clock.h"
#include "holdfast/upstream/dialer.h"
#include "upstream/servers.h"

namespace holdfast::upstream {
namespace {

using namespace std::chrono_literals;

TEST(ServerParse, ReadsUrls) {
  const struct {
    const char* url;
    const char* authority;
  } good[] = {
      {"https://10.0.0.1:6443", "10.0.0.1:6443"},
      {"https://api.example.org:6443/", "api.example.org:6443"},
      {"https://api.example.org", "api.example.org:443"},
      {"https://[fd00::1]:6443/k8s/clusters/c-1", "[fd00::1]:6443"},
      {"https://[fd00::1]", "[fd00::1]:443"},
  };
  for (const auto& c : good) {
    const auto server = Server::parse(c.url);
    ASSERT_TRUE(server) << c.url;
    EXPECT_EQ(server->authority(), c.authority);
  }
  for (const char* url :
       {"", "http://a:1", "https://", "https://:6443", "https://a:", "https://a:0",
        "https://a:65536", "https://a:x", "https://[fd00::1", "https://[x]:1", "https://[::1]1",
        "https://user@host:1", "https://a b:1"}) {
    const auto server = Server::parse(url);
    ASSERT_FALSE(server) << url;
    EXPECT_EQ(server.error().code, make_error_code(Errc::kInvalidArgument));
  }
}

TEST(Classify, TellsRefusalFromSilence) {
  const auto from_errno = [](int number) {
    return classify(Error{{number, boost::system::system_category()}});
  };
  EXPECT_EQ(from_errno(ECONNREFUSED), ConnectFailure::kRefused);
  EXPECT_EQ(from_errno(ENETUNREACH), ConnectFailure::kRefused);
  EXPECT_EQ(from_errno(ETIMEDOUT), ConnectFailure::kTimeout);
  EXPECT_EQ(from_errno(ECONNRESET), ConnectFailure::kReset);
  EXPECT_EQ(classify(make_error(Errc::kTimeout)), ConnectFailure::kTimeout);
  EXPECT_EQ(classify(make_error(Errc::kProtocol)), ConnectFailure::kReset);
}

class ServersTest : public testing::Test {
 protected:
  ServersTest() { servers_.replace({a_, b_, c_}); }
  std::string order(const std::optional<Server>& sticky) const {
    std::string out;
    std::vector<ServerPtr> tried;
    while (const auto next = servers_.next(sticky, tried, now_)) {
      out += next->server.host;
      tried.push_back(next);
    }
    return out;
  }
  ServerState& state(std::size_t i) { return *servers_.all()[i]; }

  const Server a_{.host = "a"}, b_{.host = "b"}, c_{.host = "c"};
  Servers servers_{200ms, 10s};
  SteadyClock::time_point now_{1h};
};

TEST_F(ServersTest, StickyThenFastestThenAsListed) {
  EXPECT_EQ(order({}), "abc");
  Servers::measured(state(2), 10ms);
  Servers::measured(state(1), 20ms);
  EXPECT_EQ(order({}), "cba");
  EXPECT_EQ(order(a_), "acb");
  EXPECT_EQ(order(Server{.host = "gone"}), "cba");
}

TEST_F(ServersTest, AboutAsFastIsTheOneListedFirst) {
  Servers::measured(state(2), 1ms);
  Servers::measured(state(1), 2500us);
  Servers::measured(state(0), 4ms);
  EXPECT_EQ(order({}), "bca");
  // On a slow line a quarter counts, not two milliseconds.
  Servers::measured(state(0), 800ms);
  EXPECT_EQ(order({}), "bca");
}

TEST_F(ServersTest, WhatOtherThreadsFoundOutCounts) {
  FakeClock clock;
  const auto monitor = LinkMonitor::create({.servers = 3}, clock);
  Servers servers{200ms, 10s, monitor.get()};
  servers.replace({a_, b_, c_});
  const auto first = [&] { return servers.next({}, {}, now_)->server.host; };
  monitor->ping_ok(0, 100ms);
  monitor->ping_ok(2, 10ms);
  EXPECT_EQ(first(), "c");
  EXPECT_EQ(servers.next(a_, {}, now_)->server.host, "a");
  monitor->ping_failed(2);
  EXPECT_EQ(first(), "a");
  EXPECT_EQ(servers.next(c_, {}, now_)->server.host, "a");
  EXPECT_TRUE(servers.has_better_than(*servers.all()[2]));
  monitor->ping_ok(2, 10ms);
  EXPECT_EQ(first(), "c");
  monitor->told_ready(2, false);
  monitor->progress(2);
  EXPECT_EQ(first(), "a") << "it speaks, but said that it is not ready";
  monitor->told_ready(2, true);
  EXPECT_EQ(first(), "c");
}

TEST_F(ServersTest, FailuresBackOffAndComeLast) {
  servers_.failed(state(0), make_error(Errc::kTimeout, "no answer"), now_);
  EXPECT_EQ(order(a_), "bc");
  now_ += 240ms;  // 200 ms and at most 20 % more
  EXPECT_EQ(order(a_), "bca");
  for (int i = 0; i < 100; ++i) servers_.failed(state(0), make_error(Errc::kTimeout), now_);
  now_ += 7s;
  EXPECT_EQ(order(a_), "bc");
  now_ += 5s;
  EXPECT_EQ(order(a_), "bca");
  servers_.succeeded(state(0));
  EXPECT_EQ(order(a_), "abc");
}

TEST_F(ServersTest, TheLinksReturnForgives) {
  for (std::size_t i = 0; i < 3; ++i) servers_.failed(state(i), make_error(Errc::kTimeout), now_);
  EXPECT_EQ(order({}), "");
  EXPECT_EQ(servers_.why_none().code, make_error_code(Errc::kUnavailable));
  servers_.forgive_all();
  EXPECT_EQ(order({}), "abc");
}

TEST_F(ServersTest, ReplacingKeepsWhatIsKnown) {
  Servers::measured(state(1), 20ms);
  const auto old_a = servers_.all()[0];
  servers_.replace({b_, Server{.host = "d"}});
  EXPECT_EQ(old_a->index, ServerState::kUnlisted);
  EXPECT_EQ(state(0).srtt, 20ms);
  EXPECT_EQ(state(0).index, 0u);
  EXPECT_EQ(order({}), "bd");
}

}  // namespace
}  // namespace holdfast::upstream
