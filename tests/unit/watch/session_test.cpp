#include "watch/session.h"

#include <gmock/gmock.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include "fakes.h"
#include "lease/book.h"
#include "unit/cache/store_fixture.h"
#include "watch/watch.h"
#include "writes/shared.h"

namespace holdfast::watch {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using upstream::Link;

constexpr const char* kPath = "/api/v1/namespaces/apps/configmaps?watch=true";

std::string event(const std::string& type, const cache::Item& item) {
  return R"({"type":")" + type + R"(","object":)" + cache::json_object(item) + "}\n";
}
std::string bookmark(kube::ResourceVersion version) {
  return kube::render_bookmark(kube::Encoding::kJson, {"v1", "ConfigMap"}, version, false);
}
cache::Item item(const std::string& name, kube::ResourceVersion version) {
  return {.ns = "apps", .name = name, .version = version};
}

class SessionTest : public cache::StoreTest {
 protected:
  SessionTest() {
    config_->cache.patience = 5s;
    registry_->learn(credential_, principal_);
    registry_->accepted(credential_);
  }
  ~SessionTest() override {
    // On the loop itself: from outside, Asio posts the cancellation, which a child may not survive.
    boost::asio::post(io_, [this] { nursery_.cancel(); });
    run_until([&] { return nursery_.size() == 0; });
  }

  /// Lets everything run until `done`; a test that hangs fails.
  template <class Done>
  void run_until(Done done) {
    const auto deadline = SteadyClock::now() + 20s;
    while (!done()) {
      ASSERT_LT(SteadyClock::now(), deadline)
          << "hangs; delivered so far: " << (exchange_ ? exchange_->body : "");
      io_.run_one_for(20ms);
    }
  }
  void run_until_body_has(const std::string& text) {
    run_until([&] { return exchange_->body.find(text) != std::string::npos; });
  }
  void run_until_over() {
    run_until([&] { return exchange_->ended || exchange_->aborted; });
  }

  /// The next upstream stream.
  std::shared_ptr<Script> script(unsigned status = 200) {
    auto made = std::make_shared<Script>(io_.get_executor());
    made->head.status = status;
    pool_.scripts.push_back(made);
    return made;
  }
  void link(Link state) {
    link_.now = state;
    link_changed_.notify_all();
  }

  std::shared_ptr<request::Request> make_request(const std::string& target) {
    auto client = std::make_shared<request::Client>();
    http::RequestHead head{.method = "GET", .target = target};
    head.headers.add("accept", "application/json");
    exchange_ = std::make_shared<FakeExchange>(head, client);
    return std::make_shared<request::Request>(
        request::Request{.exchange = exchange_,
                         .client = client,
                         .reply = request::Reply{exchange_},
                         .attributes = kube::parse_request("GET", target).value(),
                         .accept = kube::parse_accept("application/json"),
                         .credential = credential_,
                         .principal = {},
                         .record = {},
                         .started = SteadyClock::now() - age_});
  }
  void watch(const std::string& query) {
    nursery_.spawn("watch", serve_watch(thread_, make_request(kPath + query)));
  }
  /// The principal was shown this list.
  void shown(kube::ResourceVersion version, const std::vector<cache::Item>& items) {
    const auto request = make_request(kPath);
    auto query = request::query_of(*request, principal_, cache::json());
    ASSERT_TRUE(record_list(query.value(), version, items));
  }

  /// "TYPE name@version" of each event that the client got; fails where a frame is cut.
  std::vector<std::string> delivered() {
    const auto decoder = kube::WatchDecoder::create(kube::Encoding::kJson);
    decoder->feed(exchange_->body);
    std::vector<std::string> out;
    kube::WatchEvent one;
    while (decoder->next(one).value()) {
      std::string text{kube::to_string(one.type)};
      if (one.type == kube::EventType::kError) {
        text += " " + std::to_string(one.status_code);
      } else {
        text += " " + one.object.meta.name + "@" + std::to_string(one.object.meta.resource_version);
      }
      if (one.initial_events_end) text += " end";
      out.push_back(text);
    }
    EXPECT_EQ(decoder->pending(), 0u);
    return out;
  }

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<Executor> work_{io_.get_executor()};
  Nursery nursery_{io_.get_executor()};
  Event link_changed_{io_.get_executor()};
  FakeLink link_;
  FakePool pool_;
  identity::Credential credential_{.kind = identity::Credential::Kind::kBearer, .token = "token"};
  identity::Principal principal_{.username = "reader", .uid = "1"};
  std::unique_ptr<identity::Registry> registry_ =
      identity::Registry::create({}, std::string(32, 'k'), store_->credentials(), clock_);
  std::unique_ptr<identity::PodDirectory> pods_ = identity::PodDirectory::create();
  telemetry::Metrics metrics_;
  telemetry::Broadcast trace_;
  lease::Book leases_{clock_};
  writes::Shared writes_{.tokens = {store_->hmac_key(), store_->credentials(), clock_},
                         .events = {}};
  request::Services services_{*store_, *registry_, *pods_,  link_,  metrics_,
                              trace_,  clock_,     leases_, writes_};
  request::PrincipalResolver principals_{io_.get_executor(), *registry_, pool_, nursery_};
  std::shared_ptr<config::Config> config_ = std::make_shared<config::Config>();
  request::ThreadContext thread_{io_.get_executor(), services_,     pool_,  nursery_,
                                 principals_,        link_changed_, config_};
  std::shared_ptr<FakeExchange> exchange_;
  SteadyClock::duration age_{0};  // of the requests that are made
};

TEST_F(SessionTest, ResumesFromTheLastDeliveredVersion) {
  const auto first = script();
  watch("&resourceVersion=100&resourceVersionMatch=NotOlderThan");
  first->send(event("MODIFIED", item("a", 105)) + bookmark(110));
  run_until_body_has("uid-a");
  // The stream breaks within a frame: the client must not get the half.
  first->send(event("ADDED", item("half", 112)).substr(0, 40));
  link(Link::kOffline);
  first->cut();
  run_until([&] { return metrics_.serialize().find("{state=\"held\"} 1") != std::string::npos; });

  const auto second = script();
  link(Link::kOnline);
  run_until([&] { return pool_.opened.size() == 2; });
  EXPECT_THAT(pool_.opened[1].target, HasSubstr("resourceVersion=110"));
  EXPECT_THAT(pool_.opened[1].target, HasSubstr("allowWatchBookmarks=true"));
  EXPECT_THAT(pool_.opened[1].target, Not(HasSubstr("resourceVersionMatch")));
  second->send(event("ADDED", item("b", 120)));
  run_until_body_has("uid-b");
  EXPECT_THAT(delivered(), ElementsAre("MODIFIED a@105", "ADDED b@120"));
  EXPECT_FALSE(exchange_->ended || exchange_->aborted);
}

TEST_F(SessionTest, ShowsBookmarksToWhoAskedForThem) {
  const auto stream = script();
  watch("&resourceVersion=100&allowWatchBookmarks=true");
  stream->send(bookmark(110));
  run_until_body_has("BOOKMARK");
  EXPECT_THAT(delivered(), ElementsAre("BOOKMARK @110"));
}

TEST_F(SessionTest, EndsInOrderWhenTheServerDoes) {
  const auto stream = script();
  watch("&resourceVersion=100");
  stream->send(event("DELETED", item("a", 105)));
  stream->end();
  run_until_over();
  EXPECT_FALSE(exchange_->aborted);
  EXPECT_EQ(pool_.opened.size(), 1u);
}

TEST_F(SessionTest, AnExpiredTokenEndsAResumedWatchCleanly) {
  const auto first = script();
  watch("&resourceVersion=100");
  first->send(event("ADDED", item("a", 105)));
  first->cut();
  const auto refusal = script(401);
  refusal->send(R"({"kind":"Status","apiVersion":"v1","code":401})");
  refusal->end();
  run_until_over();
  EXPECT_FALSE(exchange_->aborted);
  EXPECT_THAT(delivered(), ElementsAre("ADDED a@105"));
}

TEST_F(SessionTest, ARefusalOnResumeIsDelivered) {
  const auto first = script();
  watch("&resourceVersion=100");
  first->send(event("ADDED", item("a", 105)));
  first->cut();
  const auto refusal = script(403);
  refusal->send(
      R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"Forbidden","code":403})");
  refusal->end();
  run_until_over();
  EXPECT_FALSE(exchange_->aborted);
  EXPECT_THAT(delivered(), ElementsAre("ADDED a@105", "ERROR 403"));
}

TEST_F(SessionTest, AnOverloadedServerIsAskedAgain) {
  const auto first = script();
  watch("&resourceVersion=100");
  first->send(event("ADDED", item("a", 105)));
  first->cut();
  script(503)->end();
  const auto third = script();
  third->send(event("ADDED", item("b", 106)));
  run_until_body_has("uid-b");
  EXPECT_THAT(delivered(), ElementsAre("ADDED a@105", "ADDED b@106"));
}

TEST_F(SessionTest, AnExpiredVersionIsPassedOn) {
  const auto first = script();
  watch("&resourceVersion=100");
  first->send(event("ADDED", item("a", 105)));
  first->cut();
  const auto second = script();
  second->send(
      R"({"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"reason":"Expired","code":410}})"
      "\n");
  run_until_over();
  EXPECT_FALSE(exchange_->aborted);
  EXPECT_THAT(delivered(), ElementsAre("ADDED a@105", "ERROR 410"));
}

TEST_F(SessionTest, OfflineAWatchListBeginsWithWhatWasShownAndJoinsIn) {
  shown(50, {item("a", 40), item("b", 45)});
  link(Link::kOffline);
  watch("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
  run_until_body_has("BOOKMARK");
  EXPECT_EQ(exchange_->answer.status, 200u);
  EXPECT_THAT(delivered(), ElementsAre("ADDED a@40", "ADDED b@45", "BOOKMARK @50 end"));
  EXPECT_TRUE(pool_.opened.empty());

  const auto stream = script();
  link(Link::kOnline);
  run_until([&] { return pool_.opened.size() == 1; });
  EXPECT_THAT(pool_.opened[0].target, HasSubstr("resourceVersion=50"));
  EXPECT_THAT(pool_.opened[0].target, Not(HasSubstr("sendInitialEvents")));
  stream->send(event("DELETED", item("a", 60)));
  run_until_body_has("DELETED");
  EXPECT_EQ(delivered().back(), "DELETED a@60");
}

TEST_F(SessionTest, OfflineAWatchFromAVersionIsHeldThere) {
  shown(50, {item("a", 40)});
  link(Link::kOffline);
  watch("&resourceVersion=45");
  run_until([&] { return exchange_->responded(); });
  EXPECT_EQ(exchange_->answer.status, 200u);
  const auto stream = script();
  link(Link::kOnline);
  stream->send(event("MODIFIED", item("a", 60)));
  run_until_body_has("uid-a");
  EXPECT_THAT(pool_.opened[0].target, HasSubstr("resourceVersion=45"));
  EXPECT_THAT(delivered(), ElementsAre("MODIFIED a@60"));
}

TEST_F(SessionTest, OfflineWhatWasNeverShownIsUnavailable) {
  link(Link::kOffline);
  watch("&resourceVersion=0");
  run_until_over();
  EXPECT_EQ(exchange_->answer.status, 503u);
  EXPECT_FALSE(exchange_->answer.headers.has("retry-after"));
}

TEST_F(SessionTest, OfflineAWatchListNewerThanTheCacheIsRefused) {
  shown(50, {item("a", 40)});
  link(Link::kOffline);
  watch("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=51");
  run_until_over();
  EXPECT_EQ(exchange_->answer.status, 504u);
}

TEST_F(SessionTest, ACutWithinInitialEventsAborts) {
  const auto stream = script();
  watch("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
  stream->send(event("ADDED", item("a", 40)));
  stream->cut();
  run_until_over();
  EXPECT_TRUE(exchange_->aborted);
  EXPECT_FALSE(exchange_->ended);
}

TEST_F(SessionTest, TheClientsTimeoutHoldsWhileTheLinkIsDown) {
  shown(50, {item("a", 40)});
  age_ = 299'900ms;
  link(Link::kOffline);
  watch("&resourceVersion=50&timeoutSeconds=300");
  run_until_over();
  EXPECT_EQ(exchange_->answer.status, 200u);
  EXPECT_FALSE(exchange_->aborted);
}

TEST_F(SessionTest, AResumedWatchAsksForTheTimeThatIsLeft) {
  age_ = 200s;
  const auto first = script();
  watch("&resourceVersion=50&timeoutSeconds=300");
  first->send(event("ADDED", item("a", 60)));
  first->cut();
  script();
  run_until([&] { return pool_.opened.size() == 2; });
  EXPECT_THAT(pool_.opened[0].target, HasSubstr("timeoutSeconds=300"));
  EXPECT_THAT(pool_.opened[1].target, HasSubstr("timeoutSeconds=100"));
}

}  // namespace
}  // namespace holdfast::watch
