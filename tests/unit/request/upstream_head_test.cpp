#include <gtest/gtest.h>

#include "request/request.h"

namespace holdfast::request {
namespace {

TEST(UpstreamHead, FrontProxyHeadersNeverPass) {
  const http::RequestHead head{.method = "GET",
                               .target = "/api/v1/pods?limit=5",
                               .authority = "198.18.0.1",
                               .headers = {{"authorization", "Bearer x"},
                                           {"x-remote-user", "admin"},
                                           {"x-remote-group", "system:masters"},
                                           {"x-remote-extra-scopes", "all"},
                                           {"impersonate-user", "bob"}}};
  const auto upstream = upstream_head(head);
  EXPECT_EQ(upstream.target, head.target);
  EXPECT_EQ(upstream.headers.get("authorization"), "Bearer x");
  EXPECT_EQ(upstream.headers.get("impersonate-user"), "bob");
  for (const auto& [name, value] : upstream.headers) {
    EXPECT_FALSE(name.starts_with("x-remote-")) << name;
  }
}

}  // namespace
}  // namespace holdfast::request
