#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "holdfast/telemetry/time_text.h"
#include "holdfast/telemetry/trace_event.h"

namespace holdfast::telemetry {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

const auto kTime = std::chrono::system_clock::time_point{1'767'323'045s + 678'901us};

FlowEvent flow() {
  FlowEvent e;
  e.time = kTime;
  e.verdict = Verdict::kSpliced;
  e.reason = "other_name";
  e.pid = 42;
  e.comm = "app";
  e.executable = "/usr/bin/app";
  e.cgroup = "/kubepods/x";
  e.container = "c0ffee";
  e.pod = PodRef{"web", "web-1", "u-1"};
  e.original = Endpoint::parse("198.18.0.1:443").value();
  e.local = Endpoint::parse("[fd00::2]:50000").value();
  e.established = 1500us;
  e.duration = 2s;
  e.bytes_sent = 10;
  e.bytes_received = 20;
  e.srtt_us = 30;
  e.retransmits = 1;
  return e;
}

RequestEvent request() {
  RequestEvent e;
  e.time = kTime;
  e.connection = 7;
  e.principal = "system:serviceaccount:web:default";
  e.verb = "list";
  e.resource = "pods";
  e.ns = "web";
  e.code = 200;
  e.source = Source::kCache;
  e.duration = 1234us;
  e.bytes = 99;
  return e;
}

TEST(Trace, FlowsAreTheContracts) {
  EXPECT_EQ(to_json(flow()),
            R"({"time":"2026-01-02T03:04:05.678901Z","kind":"flow","verdict":"spliced",)"
            R"("reason":"other_name","pid":42,"comm":"app","executable":"/usr/bin/app",)"
            R"("cgroup":"/kubepods/x","container":"c0ffee",)"
            R"("pod":{"namespace":"web","name":"web-1","uid":"u-1"},"original":"198.18.0.1:443",)"
            R"("local":"[fd00::2]:50000","established_ms":1.5,"duration_ms":2000.0,)"
            R"("bytes_sent":10,"bytes_received":20,"srtt_us":30,"retransmits":1})");
}

TEST(Trace, RequestsAreTheContracts) {
  EXPECT_EQ(to_json(request()),
            R"({"time":"2026-01-02T03:04:05.678901Z","kind":"request","connection":7,)"
            R"("principal":"system:serviceaccount:web:default","verb":"list","resource":"pods",)"
            R"("namespace":"web","name":"","code":200,"source":"cache","duration_ms":1.234,)"
            R"("bytes":99})");
}

TEST(Trace, JsonRoundTrips) {
  for (const TraceEvent& event : {TraceEvent{flow()}, TraceEvent{FlowEvent{}},
                                  TraceEvent{request()}, TraceEvent{RequestEvent{}}}) {
    const auto parsed = parse_trace_event(to_json(event));
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_TRUE(*parsed == event) << to_json(event);
  }
}

TEST(Trace, AnyBytesInANameAreValidJson) {
  FlowEvent e = flow();
  e.comm = "a\"\\\n\x01\xff\xc3(";
  EXPECT_TRUE(parse_trace_event(to_json(e)));
  EXPECT_THAT(to_json(e), Not(HasSubstr("\n")));
}

TEST(Trace, RefusesWhatIsNoEvent) {
  for (const char* bad : {"", "{}", "[]", "null", R"({"kind":"lost","count":3})",
                          R"({"kind":"flow"})", R"({"kind":7})"}) {
    EXPECT_FALSE(parse_trace_event(bad)) << bad;
  }
}

TEST(Trace, LinesForPeople) {
  EXPECT_EQ(to_line(flow()),
            "03:04:05.678 flow    spliced    web/web-1                        198.18.0.1:443 "
            "(other_name) closed after 2000.0ms, 10 B sent, 20 B received, 1 retransmits");
  EXPECT_EQ(to_line(request()),
            "03:04:05.678 request cache      system:serviceaccount:web:default 200 list web/pods "
            "1.2ms 99 B");
  FlowEvent unknown;
  unknown.time = kTime;
  EXPECT_EQ(to_line(unknown),
            "03:04:05.678 flow    redirected -                                - connecting");
}

TEST(Trace, LinesHoldNoControlCharacters) {
  FlowEvent e = flow();
  e.pod.reset();
  e.comm = "x\x1b[2J\n";
  RequestEvent r = request();
  r.name = "\x1b]0;evil\a";
  r.principal = "\r\n";
  for (const auto& line : {to_line(e), to_line(r)}) {
    for (const char c : line) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << line;
  }
}

TEST(Trace, Times) {
  EXPECT_EQ(from_rfc3339(to_rfc3339(kTime)), kTime);
  EXPECT_EQ(to_rfc3339({}), "1970-01-01T00:00:00.000000Z");
  for (const char* bad :
       {"", "2026-01-02", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678901Zx"}) {
    EXPECT_FALSE(from_rfc3339(bad)) << bad;
  }
}

struct Row {
  TraceFilter filter;
  bool flow, request;
};

TEST(TraceFilter, Matches) {
  RequestEvent r = request();
  r.pid = 42;
  r.comm = "app";
  r.executable = "/usr/bin/app";
  r.pod = PodRef{"web", "web-1", "u-1"};
  const Row rows[] = {
      {{}, true, true},
      {{.kind = TraceFilter::Kind::kFlow}, true, false},
      {{.kind = TraceFilter::Kind::kRequest}, false, true},
      {{.pod = "web-1"}, true, true},
      {{.pod = "web"}, false, false},
      {{.ns = "web"}, true, true},
      {{.ns = "db"}, false, false},
      {{.process = "app"}, true, true},
      {{.process = "/usr/bin/app"}, true, true},
      {{.process = "42"}, true, true},
      {{.process = "43"}, false, false},
      {{.verdict = "spliced"}, true, false},
      {{.verdict = "cache"}, false, true},
      {{.verdict = "direct"}, false, false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(row.filter.matches(flow()), row.flow);
    EXPECT_EQ(row.filter.matches(r), row.request);
  }
  EXPECT_FALSE(TraceFilter{.ns = "web"}.matches(FlowEvent{}));
}

}  // namespace
}  // namespace holdfast::telemetry
