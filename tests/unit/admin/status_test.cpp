#include "holdfast/admin/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "admin/units.h"
#include "unit/admin/fixtures.h"

namespace holdfast::admin {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

TEST(Status, JsonRoundTrips) {
  const auto text = to_json(example_status());
  const auto parsed = parse_status(text);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(to_json(*parsed), text);
  EXPECT_EQ(to_json(parse_status(to_json(Status{})).value()), to_json(Status{}));
}

TEST(Status, JsonHasTheDocumentedKeys) {
  const auto text = to_json(example_status());
  for (const char* part :
       {"\"ready\":true", "\"state\":\"offline\"",
        "\"last_online\":\"2026-01-02T03:02:30.000000Z\"", "\"rtt_us\":1500",
        "\"open\":{\"redirected\":3,\"spliced\":2,\"direct\":1}",
        "\"requests\":{\"upstream\":5,\"cache\":4,\"lease\":3,\"local\":2,\"tunnel\":1}",
        "\"heartbeat_age_ms\":250", "\"distribution\":\"k3s\",\"role\":\"agent\"",
        "\"evictions\":[{\"namespace\":\"shop\",\"name\":\"till-0\",\"after_seconds\":300}]",
        "\"restart_needed\":[\"threads\"]",
        "\"workload\":\"pod 1-2\",\"target\":\"198.18.0.1:443\",\"reason\":\"handshake_failed\"",
        "\"until\":\"2026-01-02T03:14:05.000000Z\""}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(Status, RefusesOtherJson) {
  for (const char* bad : {"", "{}", "[]", "3", "{\"version\":1}"}) EXPECT_FALSE(parse_status(bad));
}

TEST(Status, TextForPeople) {
  const auto text = to_text(example_status());
  for (const char* part :
       {"Ready              yes\n", "offline for 1 min 30 s\n", "Last online        1 min 35 s ago",
        "198.18.0.1:443     not reachable, 1.5 ms", "198.18.0.2:443     healthy\n",
        "State              on\n", "512.0 MiB of 1.0 GiB (50 %)", "7 objects in 6 collections",
        "Certificate        valid until 2026", "3 redirected, 2 spliced, 1 direct",
        "not in force: c.yaml:1:1", "Node               edge-1\n", "Spliced clients\n",
        "k3s agent: /k3s is there\n",
        "Deletes            shop/till-0 after 5 min of being unreachable\n"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  Status dead;
  dead.readiness.reasons = {"no certificate", "no listener"};
  dead.intercept.enabled = true;
  EXPECT_THAT(to_text(dead), HasSubstr("no certificate, no listener"));
  EXPECT_THAT(to_text(dead), HasSubstr("not attached"));
  dead.intercept.attached = true;
  EXPECT_THAT(to_text(dead), HasSubstr("paused: no heartbeat"));
}

TEST(Status, SaysWhyInterceptionIsOff) {
  auto status = example_status();
  status.intercept.off_reason = "the API server is on this node";
  EXPECT_THAT(to_text(status), HasSubstr("State              off: the API server is on this node"));
}

TEST(Status, WhatALongOutageDeletes) {
  auto status = example_status();
  EXPECT_THAT(to_html(status), HasSubstr("1 of this node's pods"));
  EXPECT_THAT(to_html(status), Not(HasSubstr("till-0"))) << "everyone on the node reads the page";
  status.evictions.emplace();
  EXPECT_THAT(to_text(status), HasSubstr("none of this node's pods"));
  status.evictions.reset();
  EXPECT_THAT(to_text(status), HasSubstr("not known"));
  EXPECT_THAT(to_json(status), HasSubstr("\"evictions\":null"));
}

TEST(Status, ThePageIsPlainAndSafe) {
  const auto page = to_html(example_status());
  EXPECT_THAT(page, HasSubstr("http-equiv=\"refresh\""));
  EXPECT_THAT(page, HasSubstr("&lt;b&gt;bad"));
  for (const char* absent : {"<b>", "<script", "http://", "https://", "src="}) {
    EXPECT_THAT(page, Not(HasSubstr(absent)));
  }
}

TEST(Units, Text) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
  EXPECT_EQ(bytes_text(std::uint64_t{3} << 40), "3.0 TiB");
  EXPECT_EQ(span_text(0s), "0 s");
  EXPECT_EQ(span_text(-5s), "0 s");
  EXPECT_EQ(span_text(59s), "59 s");
  EXPECT_EQ(span_text(60s), "1 min");
  EXPECT_EQ(span_text(3661s), "1 h 1 min");
  EXPECT_EQ(span_text(49h), "2 d 1 h");
  EXPECT_EQ(ago_text({}, {}), "never");
}

}  // namespace
}  // namespace holdfast::admin
