#include "proxy/dispatch.h"

#include <gmock/gmock.h>

#include "unit/watch/thread_fixture.h"

namespace holdfast::proxy {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using upstream::Link;

constexpr const char* kList = "/api/v1/namespaces/apps/configmaps";
constexpr const char* kOne = "/api/v1/namespaces/apps/configmaps/one";
constexpr const char* kForbidden = R"({"kind":"Status","apiVersion":"v1","code":403})";
constexpr const char* kNotFound =
    R"({"kind":"Status","apiVersion":"v1","metadata":{},"reason":"NotFound","code":404})";

cache::Item item(const std::string& name, kube::ResourceVersion version) {
  return {.ns = "apps", .name = name, .version = version};
}

class DispatchTest : public watch::ThreadTest {
 protected:
  void start(const std::string& method, const std::string& target,
             const std::string& accept = "application/json", bool may_forward = true) {
    make_exchange(method, target, accept)->may_forward = may_forward;
    nursery_.spawn("dispatch", dispatch(thread_, exchange_));
  }
  /// Answered by the API server with that; the answer's code.
  unsigned online(const std::string& method, const std::string& target, unsigned status,
                  const std::string& body, const std::string& accept = "application/json") {
    link(Link::kOnline);
    const auto upstream = script(status);
    upstream->send(body);
    upstream->end();
    start(method, target, accept);
    run_until_over();
    store_->drain();
    return exchange_->answer.status;
  }
  unsigned offline(const std::string& target, const std::string& accept = "application/json") {
    link(Link::kOffline);
    start("GET", target, accept);
    run_until_over();
    return exchange_->answer.status;
  }
};

TEST_F(DispatchTest, ARefusedWriteTellsWhatItProves) {
  shown(kList, 10, {item("one", 5), item("two", 6)});
  ASSERT_EQ(online("PATCH", kOne, 403, kForbidden), 403u);
  EXPECT_EQ(offline(kOne), 200u) << "who may not write may read";
  ASSERT_EQ(online("PATCH", kOne, 404, kNotFound), 404u);
  EXPECT_EQ(offline(kOne), 404u);
  EXPECT_EQ(offline(kList), 200u);
  EXPECT_THAT(exchange_->body, Not(HasSubstr("uid-one")));
  // The namespace was not there; nothing of the resource is.
  ASSERT_EQ(online("POST", "/api/v1/namespaces/none/configmaps", 404, kNotFound), 404u);
  EXPECT_EQ(offline(kList), 200u);
  ASSERT_EQ(online("PUT", std::string{kList} + "/two", 404, "404 page not found\n"), 404u);
  EXPECT_EQ(offline(kList), 503u);
}

TEST_F(DispatchTest, AnUnreadableAnswerToAWatchMayStillBeARefusal) {
  shown(kList, 10, {item("one", 5)});
  constexpr const char* kTable = "application/json;as=Table;g=meta.k8s.io;v=v1";
  ASSERT_EQ(online("GET", std::string{kList} + "?watch=true", 403, kForbidden, kTable), 403u);
  EXPECT_EQ(offline(kList), 503u);
}

TEST_F(DispatchTest, AnOwnDeleteWaitsForTheListsOwnWatch) {
  shown(kList, 10, {item("one", 5), item("two", 6)});
  const auto follower = store_->record_watch(query_for(kList), {.from = 10}, {});
  // As pods are: the object as it went, at the revision of its deletion.
  ASSERT_EQ(online("DELETE", kOne, 200, cache::json_object(item("one", 20))), 200u);
  EXPECT_EQ(offline(kList), 503u);
  EXPECT_EQ(offline(kOne), 503u);
  ASSERT_TRUE(send(*follower, cache::make_event(kube::EventType::kModified, item("two", 15))));
  EXPECT_EQ(offline(kList), 503u);
  ASSERT_TRUE(send(*follower, cache::make_event(kube::EventType::kDeleted, item("one", 20))));
  EXPECT_EQ(offline(kList), 200u);
  EXPECT_THAT(exchange_->body, Not(HasSubstr("uid-one")));
}

TEST_F(DispatchTest, AnEvictionIsNoDeletion) {
  shown(kList, 10, {item("one", 5)});
  ASSERT_EQ(online("POST", std::string{kOne} + "/eviction", 201,
                   R"({"kind":"Status","apiVersion":"v1","status":"Success"})"),
            201u);
  EXPECT_EQ(offline(kOne), 503u);
}

TEST_F(DispatchTest, AWrittenSecretStaysInMemory) {
  const std::string secrets = "/api/v1/namespaces/apps/secrets";
  ASSERT_EQ(online("GET", secrets + "/one", 404, kNotFound), 404u);
  ASSERT_EQ(online("POST", secrets, 201, cache::json_object(item("one", 5))), 201u);
  EXPECT_EQ(store_->stats().disk_bytes, 0u);
  EXPECT_EQ(offline(secrets + "/one"), 200u);
  // Of others a write is kept as a read would be.
  ASSERT_EQ(online("POST", kList, 201, cache::json_object(item("one", 5))), 201u);
  EXPECT_GT(store_->stats().disk_bytes, 0u);
}

TEST_F(DispatchTest, ARuleOfMemoryHoldsForWrites) {
  config::CacheRule rule;
  rule.resource = "configmaps";
  rule.action = config::CacheAction::kMemory;
  config_->cache.rules.push_back(rule);
  ASSERT_EQ(online("PUT", kOne, 200, cache::json_object(item("one", 5))), 200u);
  EXPECT_EQ(store_->stats().disk_bytes, 0u);
  EXPECT_EQ(offline(kOne), 200u);
}

/// It expires in 2099; nobody checks its signature here.
const std::string kToken =
    "eyJhbGciOiJSUzI1NiJ9."
    "eyJpc3MiOiJodHRwczovL2siLCJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6YXBwczphcHAiLCJleHAiOjQwNzA5MD"
    "g4MDB9."
    "c2ln";

/// A kubelet asks for a token, twice: the second time offline.
class TokenDispatchTest : public DispatchTest {
 protected:
  void ask(unsigned expected) {
    make_exchange("POST", "/api/v1/namespaces/apps/serviceaccounts/app/token", "application/json")
        ->may_forward = true;
    exchange_->sent =
        Slice::own(R"({"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1",)"
                   R"("metadata":{},"spec":{"audiences":["a"],"expirationSeconds":3607}})");
    nursery_.spawn("dispatch", dispatch(thread_, exchange_));
    run_until_over();
    EXPECT_EQ(exchange_->answer.status, expected);
    store_->drain();
  }
  void ask_twice() {
    const auto upstream = script(201);
    upstream->send(
        R"({"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1",)"
        R"("metadata":{"name":"app"},"spec":{"audiences":["a"],"expirationSeconds":3607},)"
        R"("status":{"token":")" +
        kToken + R"(","expirationTimestamp":"2099-01-01T00:00:00Z"}})");
    upstream->end();
    ask(201);
    link(Link::kOffline);
    ask(201);
    EXPECT_THAT(exchange_->body, HasSubstr(kToken));
  }
  /// The names of the answers that are on disk.
  std::string on_disk() { return store_->credentials().get_named("token-replays").value_or(""); }
};

TEST_F(TokenDispatchTest, AKubeletsTokenIsInMemoryOnly) {
  registry_->learn(credential_, {.username = "system:node:edge-1", .groups = {"system:nodes"}});
  ask_twice();
  EXPECT_EQ(on_disk(), "") << "its account may be there: that is another question";
}

TEST_F(TokenDispatchTest, ARuleThatNamesItPutsItOnDisk) {
  config::CacheRule rule;
  rule.resource = "serviceaccounts/token";
  rule.action = config::CacheAction::kCache;
  config_->cache.rules.push_back(rule);
  registry_->learn(credential_, {.username = "system:node:edge-1", .groups = {"system:nodes"}});
  ask_twice();
  EXPECT_NE(on_disk(), "");
}

TEST_F(TokenDispatchTest, WhoeverItWasWillDoWhereTheApiServerDoesNotSay) {
  credential_.token = kToken;
  config::CacheRule rule;
  rule.principal = "system:node:*";
  rule.resource = "serviceaccounts/token";
  rule.action = config::CacheAction::kCache;
  config_->cache.rules.push_back(rule);
  registry_->learn(credential_, {.username = "system:node:edge-1", .groups = {"system:nodes"}});
  clock_.advance(std::chrono::hours{1});
  script(500)->end();  // the review
  ask_twice();
  EXPECT_NE(on_disk(), "");
}

TEST_F(DispatchTest, WhatWeCantReadTheApiServerMay) {
  const std::string target = std::string{kList} + "?limit=many";
  EXPECT_EQ(online("GET", target, 200, "its answer"), 200u);
  EXPECT_EQ(exchange_->body, "its answer");
  ASSERT_EQ(pool_.opened.size(), 1u);
  EXPECT_EQ(pool_.opened[0].target, target);
  EXPECT_EQ(offline(target), 400u);
}

TEST_F(DispatchTest, DocumentsAreKeptWhateverTheirForm) {
  constexpr const char* kAccept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
  ASSERT_EQ(online("GET", "/openapi/v2", 200, "bytes", kAccept), 200u);
  EXPECT_EQ(offline("/openapi/v2", kAccept), 200u);
  EXPECT_EQ(exchange_->body, "bytes");
}

TEST_F(DispatchTest, WhoWasNeverJudgedDoesNotGoUp) {
  start("GET", kList, "application/json", false);
  run_until([&] { return closed_; });
  closed_ = false;
  start("GET", std::string{kList} + "?limit=many", "application/json", false);
  run_until([&] { return closed_; });
  EXPECT_TRUE(pool_.opened.empty());
}

TEST_F(DispatchTest, AWriteDoesNotWaitForItsPrincipal) {
  const auto review = script();
  review->withhold();
  const auto upstream = script(200);
  upstream->send(cache::json_object(item("one", 5)));
  make_exchange("PUT", kOne, "application/json")->certificate = "fingerprint";
  nursery_.spawn("dispatch", dispatch(thread_, exchange_));
  run_until([&] { return exchange_->responded(); });
  EXPECT_EQ(pool_.opened.size(), 2u);
  upstream->end();
  run_until_over();
}

}  // namespace
}  // namespace holdfast::proxy
