#include "read/read.h"

#include <gmock/gmock.h>

#include "unit/watch/thread_fixture.h"

namespace holdfast::read {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using upstream::Link;
using watch::Script;

constexpr const char* kList = "/api/v1/namespaces/apps/configmaps";
constexpr const char* kOne = "/api/v1/namespaces/apps/configmaps/one";

cache::Item item(const std::string& name, kube::ResourceVersion version) {
  return {.ns = "apps", .name = name, .version = version};
}

std::string not_found(const std::string& name) {
  return R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":")" +
         name + R"( not found","reason":"NotFound","code":404})";
}

class ReadTest : public watch::ThreadTest {
 protected:
  void read(const std::string& target, const std::string& accept = "application/json") {
    nursery_.spawn("read", serve_read(thread_, make_request(target, accept)));
  }
  /// Online, from the API server, to its end.
  void ask(const std::string& target, const std::string& body, unsigned status = 200,
           const std::string& accept = "application/json") {
    link(Link::kOnline);
    const auto upstream = script(status);
    upstream->send(body);
    upstream->end();
    read(target, accept);
    run_until_over();
    store_->drain();
  }
  unsigned ask_offline(const std::string& target, const std::string& accept = "application/json") {
    link(Link::kOffline);
    read(target, accept);
    run_until_over();
    return exchange_->answer.status;
  }
};

TEST_F(ReadTest, ASilentServerIsAnsweredForAndItsAnswerIsStillRemembered) {
  config_->cache.patience = 20ms;
  shown(kList, 100, {item("one", 50)});
  const auto upstream = script();
  upstream->withhold();
  read(kList);
  run_until_over();
  EXPECT_THAT(exchange_->body, HasSubstr(R"("resourceVersion":"100")"));
  EXPECT_EQ(pool_.lates, 1);
  EXPECT_FALSE(upstream->cancelled);
  // Asked once more meanwhile: one late answer is enough.
  const auto second = script();
  second->withhold();
  read(kList);
  run_until_over();
  run_until([&] { return second->cancelled; });

  upstream->send(cache::json_list(200, {item("one", 50), item("two", 150)}));
  upstream->end();
  upstream->answer();
  run_until([&] { return nursery_.size() == 0; });
  store_->drain();
  EXPECT_EQ(ask_offline(kList), 200u);
  EXPECT_THAT(exchange_->body, HasSubstr(R"("resourceVersion":"200")"));
}

TEST_F(ReadTest, AServerThatIsSlowButThereIsWaitedFor) {
  config_->cache.patience = 20ms;
  shown(kList, 100, {item("one", 50)});
  const auto upstream = script();
  upstream->withhold();
  upstream->lives = true;
  read(kList);
  const auto until = SteadyClock::now() + 200ms;
  run_until([&] { return SteadyClock::now() > until; });
  EXPECT_FALSE(exchange_->responded());
  EXPECT_EQ(pool_.lates, 0);
  upstream->send(cache::json_list(200, {}));
  upstream->end();
  upstream->answer();
  run_until_over();
  EXPECT_THAT(exchange_->body, HasSubstr(R"("resourceVersion":"200")"));
}

TEST_F(ReadTest, AnAbsenceIsAsOldAsTheListThatShowsIt) {
  shown(kList, 100, {});
  EXPECT_EQ(ask_offline(kOne), 404u);
  EXPECT_EQ(ask_offline(std::string{kOne} + "?resourceVersion=100"), 404u);
  EXPECT_EQ(ask_offline(std::string{kOne} + "?resourceVersion=101"), 504u);
  config_->cache.consistent_reads = config::ConsistentReads::kRefuse;
  EXPECT_EQ(ask_offline(kOne), 503u);
  EXPECT_EQ(ask_offline(std::string{kOne} + "?resourceVersion=0"), 404u);
}

TEST_F(ReadTest, ARefusalCountsAlsoWhenTheReviewFails) {
  shown(kList, 100, {item("one", 50)});
  clock_.advance(6min);  // it is asked anew who this is
  script(500)->end();
  ask(kList, R"({"kind":"Status","apiVersion":"v1","code":403})", 403);
  EXPECT_EQ(exchange_->answer.status, 403u);
  EXPECT_EQ(ask_offline(kList), 503u);
}

TEST_F(ReadTest, AnAnswerOfAnnouncedLengthIsKeptWithItsLastByte) {
  const auto body = cache::json_list(100, {item("one", 50)});
  const auto upstream = script();
  upstream->head.headers.add("content-length", std::to_string(body.size()));
  read(kList);
  upstream->send(body);
  run_until_body_has("uid-one");
  store_->drain();
  upstream->cut();  // before the end was told
  run_until_over();
  EXPECT_FALSE(exchange_->aborted);
  EXPECT_EQ(ask_offline(kList), 200u);
  // One byte less is no answer.
  const auto half = script();
  half->head.headers.add("content-length", std::to_string(body.size()));
  link(Link::kOnline);
  read("/api/v1/namespaces/other/configmaps");
  half->send(body.substr(1));
  half->cut();
  run_until_over();
  EXPECT_TRUE(exchange_->aborted);
  EXPECT_EQ(ask_offline("/api/v1/namespaces/other/configmaps"), 503u);
}

TEST_F(ReadTest, WhatWasRefusedIsRefusedOffline) {
  shown(kList, 100, {item("one", 50)});
  constexpr const char* kForbidden =
      R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)"
      R"("message":"configmaps is forbidden: no","reason":"Forbidden","code":403})";
  ask(kList, kForbidden, 403);
  EXPECT_EQ(ask_offline(kList), 403u);
  EXPECT_THAT(exchange_->body, HasSubstr("configmaps is forbidden: no"));
  EXPECT_THAT(exchange_->body, Not(HasSubstr("uid-one")));
  EXPECT_EQ(ask_offline(kOne), 503u) << "another question";
  ask(kList, cache::json_list(110, {item("one", 50)}));
  EXPECT_EQ(ask_offline(kList), 200u);
}

TEST_F(ReadTest, AResourceThatIsGoneTakesItsListsWithIt) {
  shown(kList, 100, {item("one", 50)});
  shown("/api/v1/configmaps", 100, {item("one", 50)});
  ask(std::string{kList} + "?labelSelector=a%3Db", "404 page not found\n", 404);
  EXPECT_EQ(ask_offline(kList), 503u);
  EXPECT_EQ(ask_offline("/api/v1/configmaps"), 503u);
}

TEST_F(ReadTest, AnAbsentObjectTakesNoListWithIt) {
  shown(kList, 100, {item("one", 50), item("two", 60)});
  ask(kOne, not_found("one"), 404);
  EXPECT_EQ(ask_offline(kOne), 404u);
  EXPECT_EQ(ask_offline(kList), 200u);
  EXPECT_THAT(exchange_->body, Not(HasSubstr("uid-one")));
}

// As client-go's metadata client asks.
constexpr const char* kMetadata =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

TEST_F(ReadTest, MetadataIsAListLikeAnyOther) {
  std::string body = cache::json_list(100, {item("one", 50)});
  body.replace(0, body.find(R"("metadata")"),
               R"({"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1",)");
  ask(kList, body, 200, kMetadata);
  EXPECT_EQ(ask_offline(kList, kMetadata), 200u);
  EXPECT_THAT(exchange_->body, HasSubstr("PartialObjectMetadataList"));
  EXPECT_EQ(ask_offline(kList), 503u) << "metadata is not the object";

  // Its watch follows it.
  kube::Representation metadata{.encoding = kube::Encoding::kJson,
                                .transform = kube::Transform::kPartialObjectMetadata,
                                .transform_version = "v1"};
  const auto follower = store_->record_watch(query_for(kList, metadata), {.from = 100}, {});
  ASSERT_TRUE(send(*follower, cache::make_event(kube::EventType::kDeleted, item("one", 110))));
  EXPECT_EQ(ask_offline(kList, kMetadata), 200u);
  EXPECT_THAT(exchange_->body, Not(HasSubstr("uid-one")));
}

TEST_F(ReadTest, MetadataFollowsFromWholeObjects) {
  constexpr const char* kOnly = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
  constexpr const char* kOnlyOne = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
  shown(kList, 100, {item("one", 50), item("two", 60)});
  EXPECT_EQ(ask_offline(kList, kOnly), 200u);
  EXPECT_THAT(exchange_->body,
              StartsWith(R"({"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1",)"
                         R"("metadata":{"resourceVersion":"100"},"items":[)"
                         R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1",)"
                         R"("metadata":{"name":"one",)"));
  EXPECT_THAT(exchange_->body, HasSubstr("uid-two"));
  EXPECT_THAT(exchange_->body, Not(HasSubstr("\"data\"")));
  EXPECT_EQ(ask_offline(kOne, kOnlyOne), 200u);
  EXPECT_THAT(exchange_->body,
              StartsWith(R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1",)"
                         R"("metadata":{"name":"one",)"));
  EXPECT_EQ(ask_offline("/api/v1/namespaces/apps/configmaps/three", kOnlyOne), 404u);
  EXPECT_EQ(ask_offline("/api/v1/namespaces/other/configmaps", kOnly), 503u);
}

TEST_F(ReadTest, AServerThatKnowsNoMetadataIsTakenAtItsWord) {
  ask(kList, cache::json_list(100, {item("one", 50)}), 200, kMetadata);
  EXPECT_EQ(ask_offline(kList), 200u);
  EXPECT_THAT(exchange_->body, HasSubstr("ConfigMapList"));
  // A custom resource's list begins with its items.
  std::string body = R"({"apiVersion":"v1","items":[],"kind":"ConfigMapList",)"
                     R"("metadata":{"resourceVersion":"100"}})";
  ask("/api/v1/namespaces/other/configmaps", body, 200, kMetadata);
  EXPECT_EQ(ask_offline("/api/v1/namespaces/other/configmaps"), 200u);
}

TEST_F(ReadTest, DocumentsAreKeptWhateverTheirForm) {
  constexpr const char* kAccept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
  ask("/openapi/v2", "bytes", 200, kAccept);
  EXPECT_EQ(ask_offline("/openapi/v2", kAccept), 200u);
  EXPECT_EQ(exchange_->body, "bytes");
}

TEST_F(ReadTest, WhoWasNeverJudgedDoesNotGoUp) {
  script();
  auto request = make_request(kList);
  request->client->may_forward = false;
  nursery_.spawn("read", serve_read(thread_, request));
  run_until([&] { return closed_; });
  EXPECT_TRUE(pool_.opened.empty());
}

}  // namespace
}  // namespace holdfast::read
