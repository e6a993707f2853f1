#include "admin/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/admin/fixtures.h"

namespace holdfast::admin {
namespace {

using testing::HasSubstr;

class RoutesTest : public testing::Test {
 protected:
  Answer tcp(const char* target, const char* method = "GET") {
    return route(Channel::kTcp, method, target, source_);
  }
  Answer local(const char* target) { return route(Channel::kUnix, "GET", target, source_); }
  FakeSource source_;
};

TEST_F(RoutesTest, WhatIsThere) {
  EXPECT_EQ(tcp("/healthz").body, "ok\n");
  EXPECT_EQ(tcp("/readyz?verbose").body, "ok\n");
  EXPECT_EQ(tcp("/metrics").body, "holdfast_link_up 1\n");
  EXPECT_EQ(tcp("/metrics").content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(tcp("/").body, HasSubstr("edge-1"));
  EXPECT_THAT(local("/v1/status").body, HasSubstr("\"node\":\"edge-1\""));
  EXPECT_TRUE(local("/v1/trace?kind=flow").trace);
  EXPECT_EQ(tcp("/", "HEAD").code, 200);
}

TEST_F(RoutesTest, WhatIsNot) {
  EXPECT_EQ(tcp("/nothing").code, 404);
  EXPECT_EQ(tcp("").code, 404);
  EXPECT_EQ(tcp("/healthz/").code, 404);
  EXPECT_EQ(tcp("/", "POST").code, 405);
  EXPECT_EQ(tcp("/", "DELETE").code, 405);
  EXPECT_EQ(local("/v1/trace?kind=x").code, 400);
}

TEST_F(RoutesTest, WhoTalksToWhatIsForTheSocketOnly) {
  EXPECT_EQ(tcp("/v1/status").code, 404);
  EXPECT_EQ(tcp("/v1/trace").code, 404);
}

TEST_F(RoutesTest, TheCacheIsForTheSocketOnly) {
  const auto post = [&](const char* target) {
    return route(Channel::kUnix, "POST", target, source_);
  };
  EXPECT_EQ(local("/v1/cache/lists?principal=system%3Anode%3Aa&resource=pods").code, 200);
  EXPECT_EQ(source_.cache_asked.what, CacheQuery::What::kLists);
  EXPECT_EQ(source_.cache_asked.principal, "system:node:a");
  EXPECT_EQ(source_.cache_asked.resource, "pods");
  EXPECT_EQ(local("/v1/cache/get?id=ab&secrets=1").code, 200);
  EXPECT_TRUE(source_.cache_asked.secrets);
  EXPECT_EQ(post("/v1/cache/rm?all=1").code, 200);
  EXPECT_TRUE(source_.cache_asked.all);
  // What changes something is a POST, what does not is none.
  EXPECT_EQ(local("/v1/cache/rm?all=1").code, 405);
  EXPECT_EQ(post("/v1/cache/lists").code, 405);
  EXPECT_EQ(post("/v1/status").code, 405);
  EXPECT_EQ(local("/v1/cache/nothing").code, 400);
  EXPECT_EQ(local("/v1/cache/lists?x=1").code, 400);
  EXPECT_EQ(local("/v1/cache/lists?id=%2").code, 400);
  EXPECT_EQ(tcp("/v1/cache/lists").code, 404);
  EXPECT_EQ(tcp("/v1/cache/rm?all=1", "POST").code, 405);
  source_.cache_reply = {404, "no such list\n"};
  EXPECT_EQ(local("/v1/cache/get?id=zz").body, "no such list\n");
}

TEST_F(RoutesTest, ACacheQuerySurvivesItsTarget) {
  const CacheQuery query{.what = CacheQuery::What::kGet,
                         .principal = "a b&c=d/%",
                         .resource = "deployments.apps",
                         .id = "0f",
                         .ns = "x",
                         .name = "y",
                         .secrets = true,
                         .all = true};
  const auto target = to_target(query);
  const auto question = target.find('?');
  ASSERT_TRUE(target.starts_with("/v1/cache/get?"));
  const auto back = parse_cache_query("get", std::string_view{target}.substr(question + 1));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->principal, query.principal);
  EXPECT_EQ(to_target(*back), target);
}

TEST_F(RoutesTest, NotReadySaysWhy) {
  source_.readiness = {false, {"no certificate", "no listener"}};
  EXPECT_EQ(tcp("/readyz").code, 503);
  EXPECT_EQ(tcp("/readyz").body, "not ready\nno certificate\nno listener\n");
  EXPECT_EQ(tcp("/healthz").code, 200);
}

TEST(HostHeader, OnlyAddressesAndLocalhost) {
  for (const char* good : {"", "localhost", "localhost:10267", "127.0.0.1", "127.0.0.1:10267",
                           "[::1]:10267", "[::1]"}) {
    EXPECT_TRUE(is_local_host_header(good)) << good;
  }
  for (const char* bad :
       {"evil.example", "evil.example:10267", "localhost.evil", "[x]", "[::1", "127.0.0.1.evil"}) {
    EXPECT_FALSE(is_local_host_header(bad)) << bad;
  }
}

}  // namespace
}  // namespace holdfast::admin
