#include "request/query_string.h"

#include <gtest/gtest.h>

namespace holdfast::request {
namespace {

TEST(RewriteQuery, SetsRemovesAndKeeps) {
  EXPECT_EQ(rewrite_query("/api/v1/pods", {{"watch", "1"}}), "/api/v1/pods?watch=1");
  EXPECT_EQ(rewrite_query("/api/v1/pods?watch=1&labelSelector=a%3Db&resourceVersion=5",
                          {{"resourceVersion", "9"}}),
            "/api/v1/pods?resourceVersion=9&watch=1&labelSelector=a%3Db");
  EXPECT_EQ(rewrite_query("/p?a=1&sendInitialEvents=true&b", {{"sendInitialEvents", ""}}),
            "/p?a=1&b");
  EXPECT_EQ(rewrite_query("/p?a=1", {{"a", ""}}), "/p");
  EXPECT_EQ(rewrite_query("/p?&&a=1&", {}), "/p?a=1");
}

}  // namespace
}  // namespace holdfast::request
