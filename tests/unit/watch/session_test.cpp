#include "watch/session.h"

#include <gmock/gmock.h>

#include <future>

#include "read/tee.h"
#include "unit/watch/thread_fixture.h"
#include "watch/watch.h"

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

class SessionTest : public ThreadTest {
 protected:
  void watch(const std::string& query) {
    nursery_.spawn("watch", serve_watch(thread_, make_request(kPath + query)));
  }
  /// A 403 is believed soon.
  void trust_refusals() {
    auto strict = std::make_shared<config::Config>(*config_);
    strict->cache.review_ttl = 0s;
    thread_.config = strict;
  }
  /// The principal was shown this list.
  void shown(kube::ResourceVersion version, const std::vector<cache::Item>& items) {
    ThreadTest::shown(kPath, version, items);
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

const std::string kExpired =
    R"({"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)"
    R"("message":"too old resource version","reason":"Expired","code":410}})"
    "\n";

TEST_F(SessionTest, AfterA410TheDifferenceIsDelivered) {
  shown(100, {item("changed", 50), item("gone", 51), item("replaced", 52), item("same", 53)});
  const auto first = script();
  watch("&resourceVersion=100&allowWatchBookmarks=true");
  first->send(event("ADDED", item("late", 105)) + bookmark(110));
  run_until_body_has("BOOKMARK");
  first->cut();
  script()->send(kExpired);
  const auto list = script();
  auto body = cache::json_list(200, {item("changed", 180), item("late", 105), item("new", 150),
                                     item("replaced", 190), item("same", 53)});
  body.replace(body.find("uid-replaced"), 12, "uid-another1");
  list->send(body);
  list->end();
  const auto resumed = script();
  run_until([&] { return pool_.opened.size() == 4; });
  EXPECT_THAT(pool_.opened[2].target, Not(HasSubstr("watch")));
  EXPECT_THAT(pool_.opened[2].target, Not(HasSubstr("resourceVersion")));
  EXPECT_THAT(pool_.opened[3].target, HasSubstr("resourceVersion=200"));
  resumed->send(event("MODIFIED", item("new", 210)));
  run_until_body_has("210");
  EXPECT_THAT(delivered(),
              ElementsAre("ADDED late@105", "BOOKMARK @110", "DELETED gone@110",
                          "DELETED replaced@110", "ADDED new@150", "MODIFIED changed@180",
                          "ADDED replaced@190", "BOOKMARK @200", "MODIFIED new@210"));
  EXPECT_FALSE(exchange_->ended || exchange_->aborted);
  // What is remembered followed.
  EXPECT_EQ(items(query_for(kPath)),
            (cache::Strings{"apps/changed@180", "apps/late@105", "apps/new@210",
                            "apps/replaced@190", "apps/same@53"}));
}

TEST_F(SessionTest, A410IsDeliveredWhereTheBaseIsNotKnown) {
  const auto first = script();
  watch("&resourceVersion=100");
  first->send(event("ADDED", item("b", 105)));
  run_until_body_has("uid-b");
  first->cut();
  script()->send(kExpired);
  run_until_over();
  EXPECT_FALSE(exchange_->aborted);
  EXPECT_EQ(pool_.opened.size(), 2u);
  EXPECT_THAT(delivered(), ElementsAre("ADDED b@105", "ERROR 410"));
}

TEST_F(SessionTest, WhatWasSeenByOtherMeansIsToldAllTheSame) {
  shown(100, {item("a", 50), item("b", 51)});
  script()->send(kExpired);
  const auto list = script();
  // Another read of this principal: its list has the newer state already, its watch was not told.
  auto seen = query_for(kPath);
  seen.name = "a";
  store_->record_write(seen, kube::Encoding::kJson, Slice::own(cache::json_object(item("a", 150))),
                       {});
  store_->drain();
  list->send(cache::json_list(200, {item("a", 150), item("b", 51)}));
  list->end();
  watch("&resourceVersion=100");
  run_until_body_has("150");
  EXPECT_THAT(delivered(), ElementsAre("MODIFIED a@150"));
}

TEST_F(SessionTest, WhatWasSeenGoneByOtherMeansIsToldAllTheSame) {
  shown(100, {item("a", 50), item("b", 51), item("c", 52)});
  auto all = query_for(kPath);
  all.ns.clear();
  ASSERT_TRUE(record_list(all, 150, {item("b", 51), item("c", 52)}));
  auto own = query_for(kPath);
  own.name = "c";
  store_->record_delete(own);
  store_->drain();
  EXPECT_EQ(items(query_for(kPath)), cache::Strings{"apps/b@51"}) << "served no more";
  script()->send(kExpired);
  const auto list = script();
  list->send(cache::json_list(200, {item("b", 51)}));
  list->end();
  watch("&resourceVersion=100");
  run_until_body_has("uid-c");
  EXPECT_THAT(delivered(), ElementsAre("DELETED a@100", "DELETED c@100"));
}

TEST_F(SessionTest, ABaseThatLacksWhatTheClientHasIsNone) {
  shown(100, {item("a", 50), item("b", 51)});
  auto all = query_for(kPath);
  all.ns.clear();
  ASSERT_TRUE(record_list(all, 150, {item("b", 51)}));
  // Another object of that name now, of its own making: its list shows it at once.
  auto own = query_for(kPath);
  own.name = "a";
  store_->record_write(own, kube::Encoding::kJson, Slice::own(cache::json_object(item("a", 160))),
                       {});
  store_->drain();
  script()->send(kExpired);
  watch("&resourceVersion=100");
  run_until_over();
  EXPECT_THAT(delivered(), ElementsAre("ERROR 410"));
}

TEST_F(SessionTest, A410IsDeliveredToWhoMayNotList) {
  trust_refusals();
  shown(100, {item("a", 50)});
  const auto first = script();
  watch("&resourceVersion=100");
  first->send(kExpired);
  script(403)->end();
  run_until_over();
  EXPECT_FALSE(exchange_->aborted);
  EXPECT_THAT(delivered(), ElementsAre("ERROR 410"));
}

TEST_F(SessionTest, AListThatIsCutShortIsAskedForAgain) {
  shown(100, {item("a", 50), item("b", 51)});
  script()->send(kExpired);
  const auto half = script();
  const auto body = cache::json_list(200, {item("a", 50), item("c", 150)});
  watch("&resourceVersion=100");
  half->send(body.substr(0, body.size() / 2));
  half->cut();
  script()->send(kExpired);
  const auto whole = script();
  whole->send(body);
  whole->end();
  run_until_body_has("uid-c");
  EXPECT_THAT(delivered(), ElementsAre("DELETED b@100", "ADDED c@150"));
}

TEST_F(SessionTest, AListFromThePastIsNoDifference) {
  shown(100, {item("a", 50)});
  script()->send(kExpired);
  const auto list = script();
  list->send(cache::json_list(99, {}));
  list->end();
  watch("&resourceVersion=100");
  run_until_over();
  EXPECT_THAT(delivered(), ElementsAre("ERROR 410"));
}

constexpr const char* kTable =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/"
    "json;as=Table;v=v1beta1;g=meta.k8s.io";

std::string row(const std::string& type, const std::string& name, kube::ResourceVersion version) {
  return R"({"type":")" + type +
         R"(","object":{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":")" +
         std::to_string(version) + R"("},"rows":[{"cells":[")" + name + R"("]}]}})" + "\n";
}

TEST_F(SessionTest, ATableGoesOnAfterACut) {
  const auto first = script();
  nursery_.spawn(
      "watch",
      serve_watch(thread_, make_request(std::string{kPath} + "&resourceVersion=100", kTable)));
  first->send(row("ADDED", "one", 105));
  run_until_body_has("one");
  first->cut();
  const auto second = script();
  second->send(row("MODIFIED", "two", 110));
  run_until_body_has("two");
  EXPECT_THAT(pool_.opened[1].target, HasSubstr("resourceVersion=105"));
  EXPECT_THAT(std::string{pool_.opened[1].headers.get("accept")}, HasSubstr("as=Table"));
  EXPECT_FALSE(exchange_->ended || exchange_->aborted);
}

TEST_F(SessionTest, ATableIsHeldWhileTheLinkIsDown) {
  link(Link::kOffline);
  nursery_.spawn(
      "watch",
      serve_watch(thread_, make_request(std::string{kPath} + "&resourceVersion=100", kTable)));
  run_until([&] { return exchange_->answer.status == 200; });
  const auto stream = script();
  link(Link::kOnline);
  stream->send(row("ADDED", "one", 105));
  run_until_body_has("one");
  EXPECT_THAT(pool_.opened[0].target, HasSubstr("resourceVersion=100"));
}

TEST_F(SessionTest, ATableBeginsOfflineWithItsRows) {
  const std::string list = "/api/v1/namespaces/apps/configmaps";
  const std::string target = list + "?limit=500";
  const std::string body =
      R"({"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"100"},)"
      R"("columnDefinitions":[{"name":"Name"}],"rows":[)"
      R"({"cells":["one"],"object":{"metadata":{"name":"one","resourceVersion":"50"}}},)"
      R"({"cells":["two"],"object":{"metadata":{"name":"two","resourceVersion":"60"}}}]})";
  store_->record_document(principal_.id(), read::document_key(target, kTable),
                          {.gvr = {"", "v1", "configmaps"},
                           .content_type = "application/json",
                           .etag = {},
                           .body = Slice::copy(body),
                           .shown_at = clock_.wall()},
                          {});
  store_->drain();
  link(Link::kOffline);
  nursery_.spawn(
      "watch", serve_watch(thread_, make_request(list + "?resourceVersion=0&watch=true", kTable)));
  run_until_body_has("two");
  EXPECT_THAT(exchange_->body, HasSubstr(R"({"type":"ADDED","object":{"kind":"Table",)"));
  const auto again = exchange_->body.find("columnDefinitions", exchange_->body.find("Name"));
  EXPECT_EQ(exchange_->body.substr(again, 23), "columnDefinitions\":null") << "once is enough";
  const auto stream = script();
  link(Link::kOnline);
  stream->send(row("ADDED", "three", 105));
  run_until_body_has("three");
  EXPECT_THAT(pool_.opened[0].target, HasSubstr("resourceVersion=100"));
  EXPECT_THAT(delivered(), ElementsAre("ADDED @50", "ADDED @60", "ADDED @105"));
}

TEST_F(SessionTest, ATableOfOneObjectBeginsOfflineToo) {
  const std::string list = "/api/v1/namespaces/apps/configmaps";
  store_->record_document(
      principal_.id(), read::document_key(list + "/one", kTable),
      {.gvr = {"", "v1", "configmaps"},
       .content_type = "application/json",
       .etag = {},
       .body = Slice::own(
           R"({"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"50"},)"
           R"("rows":[{"cells":["one"],"object":{"metadata":{"resourceVersion":"50"}}}]})"),
       .shown_at = clock_.wall()},
      {});
  store_->drain();
  link(Link::kOffline);
  const auto watched = list + "?fieldSelector=metadata.name%3Done&resourceVersion=0&watch=true";
  nursery_.spawn("watch", serve_watch(thread_, make_request(watched, kTable)));
  run_until_body_has("one");
  EXPECT_THAT(delivered(), ElementsAre("ADDED @50"));
}

TEST_F(SessionTest, AnotherHistoryEndsIt) {
  const auto first = script();
  watch("&resourceVersion=100");
  first->send(event("ADDED", item("a", 105)));
  run_until_body_has("uid-a");
  ASSERT_TRUE(store_->bind_cluster("one 1"));
  ASSERT_TRUE(store_->bind_cluster("another 2"));
  first->cut();
  run_until_over();
  EXPECT_FALSE(exchange_->aborted);
  EXPECT_THAT(delivered(), ElementsAre("ADDED a@105", "ERROR 410"));
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
  trust_refusals();
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
  EXPECT_EQ(pool_.opened.size(), 2u);
  EXPECT_THAT(delivered(), ElementsAre("ADDED a@105", "ERROR 403"));
}

TEST_F(SessionTest, AServerThatJustStartedIsAskedAgain) {
  const auto first = script();
  watch("&resourceVersion=100");
  first->send(event("ADDED", item("a", 105)));
  first->cut();
  script(403)->end();
  script()->send(event("ADDED", item("b", 110)));
  run_until_body_has("uid-b");
  EXPECT_THAT(delivered(), ElementsAre("ADDED a@105", "ADDED b@110"));
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

TEST_F(SessionTest, OfflineAWatchIsHeldAlsoWhereItsListIsBehind) {
  shown(50, {item("a", 40)});
  auto own = query_for(kPath);
  own.name = "a";
  store_->record_unseen_write(own, 70);
  store_->drain();
  ASSERT_EQ(list(query_for(kPath)).outcome, cache::Outcome::kBroken);
  link(Link::kOffline);
  watch("&resourceVersion=50");
  run_until([&] { return exchange_->responded(); });
  EXPECT_EQ(exchange_->answer.status, 200u) << "a refusal would make its client list";
  const auto stream = script();
  link(Link::kOnline);
  stream->send(event("MODIFIED", item("a", 70)));
  run_until_body_has("uid-a");
  EXPECT_THAT(pool_.opened[0].target, HasSubstr("resourceVersion=50"));
  store_->drain();
  EXPECT_EQ(items(query_for(kPath)), cache::Strings{"apps/a@70"}) << "nothing is missing";
}

TEST_F(SessionTest, OfflineAWatchOfWhatIsNotKnownIsHeldToo) {
  link(Link::kOffline);
  nursery_.spawn("watch",
                 serve_watch(thread_, make_request(std::string{kPath} + "&resourceVersion=50",
                                                   "application/vnd.kubernetes.protobuf,"
                                                   "application/json")));
  run_until([&] { return exchange_->responded(); });
  EXPECT_EQ(exchange_->answer.headers.get("content-type"),
            "application/vnd.kubernetes.protobuf;stream=watch");
  // The API server has it as JSON only: the client comes back and is told so from the beginning.
  script()->send(event("MODIFIED", item("a", 70)));
  link(Link::kOnline);
  run_until_over();
  EXPECT_THAT(std::string{pool_.opened[0].headers.get("accept")}, HasSubstr("application/json"));
  EXPECT_FALSE(exchange_->aborted);
  EXPECT_EQ(exchange_->body, "");
}

TEST_F(SessionTest, OfflineAWatchThatWasRefusedIsRefusedAgain) {
  const auto refusal = script(403);
  refusal->send(kube::render_status(
      kube::Encoding::kJson, {.code = 403, .reason = "Forbidden", .message = "not for you"}));
  refusal->end();
  watch("&resourceVersion=50");
  run_until_over();
  link(Link::kOffline);
  watch("&resourceVersion=50");
  run_until_over();
  EXPECT_EQ(exchange_->answer.status, 403u);
  EXPECT_THAT(exchange_->body, HasSubstr("not for you"));
}

TEST_F(SessionTest, OfflineAClientThatIsAheadEndsTheList) {
  shown(50, {item("a", 40)});
  link(Link::kOffline);
  watch("&resourceVersion=60");
  run_until([&] { return exchange_->responded(); });
  EXPECT_EQ(exchange_->answer.status, 200u);
  store_->drain();
  EXPECT_EQ(list(query_for(kPath)).outcome, cache::Outcome::kBroken);
  const auto stream = script();
  link(Link::kOnline);
  stream->send(event("ADDED", item("between", 55)) + bookmark(61));
  run_until([&] { return pool_.opened.size() == 1 && stream->pieces.empty(); });
  EXPECT_THAT(pool_.opened[0].target, HasSubstr("resourceVersion=50"));
  store_->drain();
  EXPECT_EQ(items(query_for(kPath)), (cache::Strings{"apps/a@40", "apps/between@55"}));
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

TEST_F(SessionTest, AGapIsClosedFromWhereTheListEnds) {
  shown(50, {item("a", 40)});
  const auto first = script();
  watch("&resourceVersion=60");  // it was elsewhere meanwhile
  first->send(event("ADDED", item("between", 55)) + event("DELETED", item("a", 57)));
  run_until([&] { return pool_.opened.size() == 1 && first->pieces.empty(); });
  EXPECT_THAT(pool_.opened[0].target, HasSubstr("resourceVersion=50"));
  store_->drain();
  EXPECT_EQ(list(query_for(kPath)).outcome, cache::Outcome::kBroken) << "its client is further";
  first->cut();
  const auto second = script();
  run_until([&] { return pool_.opened.size() == 2; });
  EXPECT_THAT(pool_.opened[1].target, HasSubstr("resourceVersion=57"));
  second->send(bookmark(60) + event("ADDED", item("new", 65)));
  run_until_body_has("uid-new");
  EXPECT_THAT(delivered(), ElementsAre("ADDED new@65"));
  store_->drain();
  EXPECT_EQ(items(query_for(kPath)), (cache::Strings{"apps/between@55", "apps/new@65"}));
}

TEST_F(SessionTest, AGapThatCantBeClosedStaysOne) {
  constexpr const char* kExpired =
      R"({"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"reason":"Expired","code":410}})"
      "\n";
  shown(50, {item("a", 40)});
  for (const bool in_stream : {true, false}) {
    pool_.opened.clear();
    const auto first = script(in_stream ? 200 : 410);
    first->send(kExpired);
    first->end();
    const auto second = script();
    watch("&resourceVersion=60");
    run_until([&] { return pool_.opened.size() == 2; });
    EXPECT_THAT(pool_.opened[0].target, HasSubstr("resourceVersion=50"));
    EXPECT_THAT(pool_.opened[1].target, HasSubstr("resourceVersion=60"));
    second->send(event("ADDED", item("new", 65)));
    run_until_body_has("uid-new");
    EXPECT_THAT(delivered(), ElementsAre("ADDED new@65"));
    second->end();
    run_until_over();
    store_->drain();
    EXPECT_EQ(list(query_for(kPath)).outcome, cache::Outcome::kBroken);
  }
}

TEST_F(SessionTest, WhatCantBeReadPassesUntouched) {
  const auto stream = script();
  stream->head.headers = http::Headers{{"content-type", "application/cbor-seq"}};
  watch("&resourceVersion=100");
  stream->send("any");
  stream->send("thing");
  stream->end();
  run_until_over();
  EXPECT_FALSE(exchange_->aborted);
  EXPECT_EQ(exchange_->answer.headers.get("content-type"), "application/cbor-seq");
  EXPECT_EQ(exchange_->body, "anything");
}

TEST_F(SessionTest, ASlowServerThatIsThereIsWaitedFor) {
  config_->cache.patience = 20ms;
  shown(50, {item("a", 40)});
  const auto stream = script();
  stream->withhold();
  stream->lives = true;
  watch("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
  const auto until = SteadyClock::now() + 200ms;
  run_until([&] { return SteadyClock::now() > until; });
  EXPECT_FALSE(exchange_->responded());
  stream->send(event("ADDED", item("new", 60)));
  stream->answer();
  run_until_body_has("uid-new");
}

TEST_F(SessionTest, OfflineTheFormIsThatOfWhatWasShown) {
  shown(50, {item("a", 40)});
  link(Link::kOffline);
  auto request =
      make_request(std::string{kPath} + "&resourceVersion=0",
                   "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json");
  nursery_.spawn("watch", serve_watch(thread_, request));
  run_until_body_has("uid-a");
  script();
  link(Link::kOnline);
  run_until([&] { return pool_.opened.size() == 1; });
  EXPECT_THAT(pool_.opened[0].headers.get("accept"), Not(HasSubstr("PartialObjectMetadata")));
}

TEST_F(SessionTest, ADifferenceOfMetadataIsAskedForAsAList) {
  const kube::Representation partial{.encoding = kube::Encoding::kJson,
                                     .transform = kube::Transform::kPartialObjectMetadata,
                                     .transform_version = "v1"};
  ASSERT_TRUE(record_list(query_for(kPath, partial), 100, {item("a", 50), item("b", 51)}));
  script()->send(kExpired);
  const auto list = script();
  list->send(cache::json_list(200, {item("b", 51), item("c", 150)}));
  list->end();
  nursery_.spawn(
      "watch",
      serve_watch(thread_, make_request(std::string{kPath} + "&resourceVersion=100",
                                        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;"
                                        "v=v1")));
  run_until_body_has("uid-c");
  EXPECT_THAT(std::string{pool_.opened[0].headers.get("accept")},
              HasSubstr("as=PartialObjectMetadata;g=meta.k8s.io;v=v1"));
  EXPECT_EQ(pool_.opened[1].headers.get("accept"),
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
  EXPECT_THAT(delivered(), ElementsAre("DELETED a@100", "ADDED c@150"));
}

TEST_F(SessionTest, ADiskThatHangsDoesNotHangTheKubelet) {
  std::promise<void> hang;
  // Whatever is queued behind this waits for it.
  store_->record_list(query("x"), "", {})->finish([released = hang.get_future().share()](bool) {
    released.wait();
  });
  const auto stream = script();
  auto request = make_request(std::string{kPath} + "&resourceVersion=100");
  request->record.durability = cache::Durability::kWriteThrough;
  nursery_.spawn("watch", serve_watch(thread_, request));
  stream->send(event("ADDED", item("a", 105)));
  run_until_body_has("uid-a");
  const auto began = SteadyClock::now();
  stream->send(event("ADDED", item("b", 106)));  // one wait is enough
  run_until_body_has("uid-b");
  EXPECT_LT(SteadyClock::now() - began, 1s);
  hang.set_value();
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
