#include "holdfast/base/endpoint.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Endpoint, RoundTrips) {
  for (const char* text : {"127.0.0.1:6443", "[fd77::1]:6443", "[::1]:1", "198.18.0.1:65535"}) {
    const auto e = Endpoint::parse(text);
    ASSERT_TRUE(e) << text;
    EXPECT_EQ(e->to_string(), text);
  }
}

TEST(Endpoint, AMappedAddressIsTheV4Address) {
  EXPECT_EQ(Endpoint::parse("[::ffff:198.18.0.1]:443").value(),
            Endpoint::parse("198.18.0.1:443").value());
}

TEST(Endpoint, RefusesWhatIsNotOne) {
  for (const char* text : {"", ":", "1.2.3.4", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:x",
                           "fd77::1:443", "[1.2.3.4]:443", "host:443", "[fd77::1]443"}) {
    EXPECT_FALSE(Endpoint::parse(text)) << text;
  }
}

TEST(Endpoint, KnowsLoopback) {
  EXPECT_TRUE(Endpoint::parse("127.3.2.1:1").value().is_loopback());
  EXPECT_TRUE(Endpoint::parse("[::1]:1").value().is_loopback());
  EXPECT_FALSE(Endpoint::parse("198.18.0.1:1").value().is_loopback());
}

}  // namespace
}  // namespace holdfast
