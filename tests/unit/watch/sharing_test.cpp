#include <gmock/gmock.h>

#include "unit/watch/thread_fixture.h"
#include "watch/watch.h"

namespace holdfast::watch {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using upstream::Link;

constexpr const char* kPath = "/api/v1/namespaces/apps/configmaps?watch=true";

std::string event(const std::string& type, const std::string& name, kube::ResourceVersion version) {
  return R"({"type":")" + type + R"(","object":)" +
         cache::json_object({.ns = "apps", .name = name, .version = version}) + "}\n";
}

class SharingTest : public ThreadTest {
 protected:
  /// Another client, with a credential of its own.
  std::shared_ptr<FakeExchange> watch(const std::string& token, const std::string& query) {
    const identity::Credential credential{.kind = identity::Credential::Kind::kBearer,
                                          .token = token};
    registry_->learn(credential, {.username = "user of " + token, .uid = token});
    registry_->accepted(credential);
    credential_ = credential;
    auto request = make_request(kPath + query);
    nursery_.spawn("watch", serve_watch(thread_, std::move(request)));
    return exchange_;
  }
  /// What the API server says to the next review.
  std::shared_ptr<Script> review(bool allowed, unsigned status = 201) {
    const auto answer = script(status);
    answer->send(std::string{R"({"kind":"SelfSubjectAccessReview","status":{"allowed":)"} +
                 (allowed ? "true" : "false") + "}}");
    answer->end();
    return answer;
  }
  void set_review_ttl(std::chrono::seconds ttl) {
    auto changed = std::make_shared<config::Config>(*config_);
    changed->cache.review_ttl = ttl;
    thread_.config = changed;
  }
  /// One that leads, whose review is due, and one that follows it, whose review is not.
  std::pair<std::shared_ptr<FakeExchange>, std::shared_ptr<FakeExchange>> followed_leader(
      const std::shared_ptr<Script>& stream) {
    set_review_ttl(1s);
    const auto leader = watch("a", "&resourceVersion=100");
    stream->send(event("ADDED", "one", 105));
    run_until_has(leader, "uid-one");
    set_review_ttl(60s);
    review(true);
    const auto follower = watch("b", "&resourceVersion=100");
    run_until_has(follower, "uid-one");
    set_review_ttl(1s);
    const auto began = SteadyClock::now();
    run_until([&] { return SteadyClock::now() - began > 1100ms; });
    return {leader, follower};
  }
  void run_until_has(const std::shared_ptr<FakeExchange>& client, const std::string& text) {
    run_until([&] { return client->body.find(text) != std::string::npos; });
  }
  /// "TYPE name@version" of each event that a client got.
  static std::vector<std::string> events(const std::shared_ptr<FakeExchange>& client) {
    const auto decoder = kube::WatchDecoder::create(kube::Encoding::kJson);
    decoder->feed(client->body);
    std::vector<std::string> out;
    kube::WatchEvent one;
    while (decoder->next(one).value()) {
      out.push_back(std::string{kube::to_string(one.type)} + " " + one.object.meta.name + "@" +
                    std::to_string(one.object.meta.resource_version));
    }
    return out;
  }
};

TEST_F(SharingTest, EqualWatchesShareOneStream) {
  const auto stream = script();
  const auto first = watch("a", "&resourceVersion=100");
  stream->send(event("ADDED", "one", 105));
  run_until_has(first, "uid-one");
  review(true);
  // The second one comes with an older version, and gets what it lacks.
  const auto second = watch("b", "&resourceVersion=100&timeoutSeconds=300");
  run_until_has(second, "uid-one");
  const auto third = watch("b", "&resourceVersion=105");
  stream->send(event("MODIFIED", "one", 110));
  run_until_has(second, "110");
  run_until_has(third, "110");
  EXPECT_THAT(events(first), ElementsAre("ADDED one@105", "MODIFIED one@110"));
  EXPECT_THAT(events(second), ElementsAre("ADDED one@105", "MODIFIED one@110"));
  EXPECT_THAT(events(third), ElementsAre("MODIFIED one@110"));
  ASSERT_EQ(pool_.opened.size(), 2u) << "one watch, one review";
  EXPECT_THAT(pool_.opened[1].target, HasSubstr("selfsubjectaccessreviews"));
  EXPECT_EQ(pool_.opened[1].headers.get("authorization"), "Bearer b");
}

TEST_F(SharingTest, WhoMayNotSeeItAsksForItself) {
  const auto stream = script();
  watch("a", "&resourceVersion=100");
  stream->send(event("ADDED", "one", 105));
  run_until_has(exchange_, "uid-one");
  review(false);
  const auto refusal = script(403);
  refusal->send(R"({"kind":"Status","code":403})");
  refusal->end();
  const auto second = watch("b", "&resourceVersion=100");
  run_until([&] { return second->ended; });
  EXPECT_EQ(second->answer.status, 403u);
  EXPECT_EQ(second->body.find("uid-one"), std::string::npos);
}

TEST_F(SharingTest, WhereTheApiServerDoesNotSayNothingIsShared) {
  const auto stream = script();
  watch("a", "&resourceVersion=100");
  stream->send(event("ADDED", "one", 105));
  run_until_has(exchange_, "uid-one");
  review(true, 500);
  const auto own = script();
  own->send(event("ADDED", "two", 106));
  const auto second = watch("b", "&resourceVersion=100");
  run_until_has(second, "uid-two");
  EXPECT_THAT(events(second), ElementsAre("ADDED two@106"));
}

TEST_F(SharingTest, OthersGoOnWhenTheLeaderLeaves) {
  const auto stream = script();
  const auto first = watch("a", "&resourceVersion=100");
  review(true);
  stream->send(event("ADDED", "one", 105));
  run_until_has(first, "uid-one");
  const auto second = watch("b", "&resourceVersion=100");
  run_until_has(second, "uid-one");
  const auto next = script();
  stream->end();  // the leader's time is over
  run_until([&] { return first->ended; });
  run_until([&] { return pool_.opened.size() == 3; });
  EXPECT_THAT(pool_.opened[2].target, HasSubstr("resourceVersion=105"));
  EXPECT_EQ(pool_.opened[2].headers.get("authorization"), "Bearer b");
  next->send(event("DELETED", "one", 107));
  run_until_has(second, "107");
  EXPECT_THAT(events(second), ElementsAre("ADDED one@105", "DELETED one@107"));
  EXPECT_FALSE(second->ended || second->aborted);
}

TEST_F(SharingTest, ARevokedPermissionEndsTheWatch) {
  set_review_ttl(1s);
  const auto stream = script();
  const auto first = watch("a", "&resourceVersion=100");
  stream->send(event("ADDED", "one", 105));
  run_until_has(first, "uid-one");
  review(true);
  const auto second = watch("b", "&resourceVersion=100");
  run_until_has(second, "uid-one");
  review(false);  // asked for again, also when nothing comes
  review(false);  // and once more: a server that just started says no to everybody
  run_until([&] { return second->ended; });
  stream->send(event("ADDED", "secret", 106));
  run_until_has(first, "uid-secret");
  EXPECT_FALSE(second->aborted);
  EXPECT_THAT(events(second), ElementsAre("ADDED one@105"));
  EXPECT_THAT(events(first), ElementsAre("ADDED one@105", "ADDED secret@106"));
}

TEST_F(SharingTest, ARevokedPermissionEndsTheLeadersWatchToo) {
  const auto stream = script();
  const auto [first, second] = followed_leader(stream);
  const auto refuse = [this] {
    const auto refusal = script(403);
    refusal->send(kube::render_status(kube::Encoding::kJson, {.code = 403, .reason = "Forbidden"}));
    refusal->end();
  };
  review(false);
  refuse();                               // it asks the API server itself
  const auto next = script();             // and the other one leads at once
  for (int i = 0; i < 20; ++i) refuse();  // for as long as that may be a mistake
  stream->send(event("ADDED", "secret", 106));
  run_until([&] { return pool_.opened.size() >= 5; });
  next->send(event("ADDED", "secret", 106));
  run_until_has(second, "uid-secret");
  EXPECT_FALSE(first->ended);
  run_until([&] { return first->ended; });
  EXPECT_FALSE(first->aborted);
  EXPECT_THAT(events(first), ElementsAre("ADDED one@105", "ERROR @0"));
  EXPECT_THAT(pool_.opened[2].target, HasSubstr("selfsubjectaccessreviews"));
  EXPECT_EQ(pool_.opened[2].headers.get("authorization"), "Bearer a");
  EXPECT_EQ(pool_.opened[3].headers.get("authorization"), "Bearer a");
  EXPECT_EQ(pool_.opened[4].headers.get("authorization"), "Bearer b");
  EXPECT_THAT(pool_.opened[4].target, HasSubstr("resourceVersion=105"));
}

TEST_F(SharingTest, ALeaderThatCantBeReviewedGoesOn) {
  const auto stream = script();
  const auto [first, second] = followed_leader(stream);
  review(true, 500);
  stream->send(event("ADDED", "two", 106));
  run_until_has(second, "uid-two");
  stream->send(event("ADDED", "three", 107));  // and is not asked for with each event
  run_until_has(second, "uid-three");
  EXPECT_EQ(pool_.opened.size(), 3u);
  EXPECT_THAT(events(first), ElementsAre("ADDED one@105", "ADDED two@106", "ADDED three@107"));
  EXPECT_THAT(events(second), ElementsAre("ADDED one@105", "ADDED two@106", "ADDED three@107"));
}

TEST_F(SharingTest, OneThatIsOlderThanTheWindowGetsAStreamOfItsOwn) {
  const auto stream = script();
  watch("a", "&resourceVersion=100");
  stream->send(event("ADDED", "one", 105));
  run_until_has(exchange_, "uid-one");
  const auto own = script();
  own->send(event("ADDED", "old", 95));
  const auto second = watch("b", "&resourceVersion=90");
  run_until_has(second, "uid-old");
  EXPECT_THAT(pool_.opened[1].target, HasSubstr("resourceVersion=90"));
}

TEST_F(SharingTest, ADifferenceIsToldToAll) {
  const auto stream = script();
  const auto first = watch("a", "&resourceVersion=100");
  ASSERT_TRUE(record_list(query_for(kPath), 100, {{"apps", "gone", 50}}));
  // The list is that of the principal that leads.
  auto query = query_for(kPath);
  query.principal = registry_->find(credential_)->id();
  ASSERT_TRUE(record_list(query, 100, {{"apps", "gone", 50}}));
  stream->send(event("ADDED", "one", 105));
  run_until_has(first, "uid-one");
  review(true);
  const auto second = watch("b", "&resourceVersion=105");
  run_until([&] { return second->answer.status == 200; });
  stream->cut();
  const auto expired = script();
  expired->send(R"({"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","code":410}})"
                "\n");
  const auto list = script();
  list->send(cache::json_list(200, {{"apps", "one", 105}, {"apps", "two", 150}}));
  list->end();
  const auto resumed = script();
  run_until_has(second, "uid-two");
  EXPECT_THAT(events(first), ElementsAre("ADDED one@105", "DELETED gone@105", "ADDED two@150"));
  EXPECT_THAT(events(second), ElementsAre("DELETED gone@105", "ADDED two@150"));
  resumed->send(event("ADDED", "three", 210));
  run_until_has(second, "uid-three");
}

TEST_F(SharingTest, AFollowerThatDoesNotReadGoesOnByItself) {
  const auto stream = script();
  const auto first = watch("a", "&resourceVersion=100");
  stream->send(event("ADDED", "one", 101));
  run_until_has(first, "uid-one");
  review(true);
  const auto second = watch("b", "&resourceVersion=100");
  run_until_has(second, "uid-one");
  second->stop_reading(io_.get_executor());
  const std::string large(600'000, 'x');
  for (kube::ResourceVersion version = 102; version < 112; ++version) {
    const auto name = "large-" + std::to_string(version);
    stream->send(
        R"({"type":"ADDED","object":)" +
        cache::json_object({.ns = "apps", .name = name, .version = version, .text = large}) +
        "}\n");
    run_until_has(first, "uid-" + name);  // nobody waits for the other one
  }
  const auto own = script();
  second->read_on();
  run_until([&] { return pool_.opened.size() == 3; });
  EXPECT_EQ(pool_.opened[2].headers.get("authorization"), "Bearer b");
  const auto seen = events(second);
  EXPECT_LT(seen.size(), 11u) << "it left more unread than is kept for it";
  EXPECT_THAT(pool_.opened[2].target,
              HasSubstr("resourceVersion=" + std::to_string(100 + seen.size())));
  own->send(event("ADDED", "last", 200));
  run_until_has(second, "uid-last");
  EXPECT_FALSE(second->ended || second->aborted);
}

TEST_F(SharingTest, ALeaderThatDoesNotReadLeadsNoMore) {
  const auto stream = script();
  const auto first = watch("a", "&resourceVersion=100");
  stream->send(event("ADDED", "one", 101));
  run_until_has(first, "uid-one");
  review(true);
  const auto second = watch("b", "&resourceVersion=100");
  run_until_has(second, "uid-one");
  first->stop_reading(io_.get_executor());
  const auto next = script();
  stream->send(event("ADDED", "two", 102));
  run_until([&] { return pool_.opened.size() == 3; });
  EXPECT_EQ(pool_.opened[2].headers.get("authorization"), "Bearer b");
  next->send(event("ADDED", "three", 103));
  run_until_has(second, "uid-three");
  EXPECT_THAT(events(second), ElementsAre("ADDED one@101", "ADDED two@102", "ADDED three@103"));
  first->read_on();
  run_until_has(first, "uid-two");
  EXPECT_FALSE(first->ended || first->aborted);
}

TEST_F(SharingTest, AReviewAsksWhatTheWatchAsks) {
  const auto stream = script();
  watch("a", "&resourceVersion=100&labelSelector=app%3Dweb");
  stream->send(event("ADDED", "one", 101));
  run_until_has(exchange_, "uid-one");
  const auto asked = review(true);
  const auto second = watch("b", "&resourceVersion=100&labelSelector=app%3Dweb");
  run_until_has(second, "uid-one");
  ASSERT_EQ(pool_.opened.size(), 2u);
  EXPECT_THAT(asked->sent, HasSubstr(R"("labelSelector":{"rawSelector":"app=web"})"));
  EXPECT_THAT(asked->sent, HasSubstr(R"("namespace":"apps")"));
  EXPECT_THAT(asked->sent, HasSubstr(R"("verb":"watch")"));
}

TEST_F(SharingTest, SharingCanBeSwitchedOff) {
  auto off = std::make_shared<config::Config>(*config_);
  off->cache.share = false;
  thread_.config = off;
  const auto stream = script();
  watch("a", "&resourceVersion=100");
  const auto own = script();
  own->send(event("ADDED", "one", 105));
  const auto second = watch("b", "&resourceVersion=100");
  run_until_has(second, "uid-one");
  EXPECT_EQ(pool_.opened.size(), 2u);
}

}  // namespace
}  // namespace holdfast::watch
