#include "holdfast/telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <thread>
#include <vector>

#include "holdfast/telemetry/catalogue.h"
#include "telemetry/cells.h"
#include "telemetry/metric_id.h"

namespace holdfast::telemetry {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

TEST(Catalogue, NamesAreThoseOfTheContract) {
  std::set<std::string_view> names;
  for (const auto& info : catalogue()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_FALSE(info.help.empty()) << info.name;
    EXPECT_EQ(info.type == MetricType::kCounter, info.name.ends_with("_total")) << info.name;
  }
  for (const char* name : {"holdfast_build_info",
                           "holdfast_node_info",
                           "holdfast_link_up",
                           "holdfast_link_transitions_total",
                           "holdfast_link_last_online_timestamp_seconds",
                           "holdfast_connections_total",
                           "holdfast_connections_open",
                           "holdfast_heartbeat_age_seconds",
                           "holdfast_flow_events_lost_total",
                           "holdfast_circuits_open",
                           "holdfast_requests_total",
                           "holdfast_request_duration_seconds",
                           "holdfast_cache_reads_total",
                           "holdfast_cache_bytes",
                           "holdfast_cache_budget_bytes",
                           "holdfast_cache_objects",
                           "holdfast_cache_collections",
                           "holdfast_cache_evictions_total",
                           "holdfast_cache_write_queue_bytes",
                           "holdfast_cache_persistent",
                           "holdfast_cache_dropped_records_total",
                           "holdfast_cache_corrupt_records_total",
                           "holdfast_cache_write_errors_total",
                           "holdfast_watches_open",
                           "holdfast_watch_resumes_total",
                           "holdfast_lease_requests_total",
                           "holdfast_lease_foreign_writes_total",
                           "holdfast_upstream_bytes_total",
                           "holdfast_upstream_requests_total",
                           "process_cpu_seconds_total"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(Catalogue, IsDocumented) {
  std::ifstream file{HOLDFAST_DOCS "/metrics.md"};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  std::size_t rows = 0;
  for (const auto& info : catalogue()) {
    std::string labels;
    for (const auto label : info.labels) {
      if (!label.empty()) labels += (labels.empty() ? "`" : ", `") + std::string{label} + "`";
    }
    const std::string row = "| `" + std::string{info.name} + "` | " +
                            std::string{to_string(info.type)} + " | " + labels + " | " +
                            std::string{info.help} + " |\n";
    EXPECT_THAT(text, HasSubstr(row));
    ++rows;
  }
  std::size_t documented = 0;
  for (std::size_t at = 0; (at = text.find("\n| `", at)) != std::string::npos; ++at) ++documented;
  EXPECT_EQ(documented, rows) << "docs/metrics.md names a metric that there is not";
}

TEST(Metrics, AFreshAgentShowsOnlyWhatItKnows) {
  const Metrics metrics;
  const auto text = metrics.serialize();
  EXPECT_THAT(text, HasSubstr("holdfast_build_info{version=\""));
  EXPECT_THAT(text, HasSubstr("# TYPE holdfast_upstream_requests_total counter\n"));
  EXPECT_THAT(text, HasSubstr("holdfast_connections_open{verdict=\"direct\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes "));
  for (const char* absent : {"holdfast_link_up", "holdfast_cache_bytes", "holdfast_lease_",
                             "holdfast_watch_resumes", "holdfast_heartbeat_age", "_last_online_"}) {
    EXPECT_THAT(text, Not(HasSubstr(absent)));
  }
}

TEST(Metrics, CountsRequests) {
  Metrics metrics;
  metrics.request(kube::Verb::kGet, "pods", Source::kCache, 200, 700us);
  metrics.request(kube::Verb::kGet, "pods", Source::kCache, 200, 2s);
  metrics.request(kube::Verb::kList, "widgets", Source::kUpstream, 299, 1h);
  metrics.request(kube::Verb::kOther, "", Source::kLocal, 0, -1s);
  const auto text = metrics.serialize();
  EXPECT_THAT(text, HasSubstr("holdfast_requests_total{verb=\"get\",resource=\"pods\","
                              "source=\"cache\",code=\"200\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("{verb=\"list\",resource=\"other\",source=\"upstream\","
                              "code=\"other\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("resource=\"none\",source=\"local\",code=\"none\"} 1\n"));
  const std::string get = "holdfast_request_duration_seconds_bucket{verb=\"get\",source=\"cache\",";
  EXPECT_THAT(text, HasSubstr(get + "le=\"0.0005\"} 0\n"));
  EXPECT_THAT(text, HasSubstr(get + "le=\"0.001\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(get + "le=\"5\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(get + "le=\"+Inf\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("holdfast_request_duration_seconds_count{verb=\"list\","
                              "source=\"upstream\"} 1\n"));
  EXPECT_EQ(metrics.requests(Source::kCache), 2u);
}

TEST(Metrics, AClientCannotGrowTheSeries) {
  Metrics metrics;
  for (int i = 0; i < 10'000; ++i) {
    metrics.request(kube::Verb::kGet, "crd" + std::to_string(i), Source::kUpstream, 200, 1ms);
  }
  const auto text = metrics.serialize();
  EXPECT_THAT(text, HasSubstr("resource=\"other\",source=\"upstream\",code=\"200\"} 10000\n"));
  EXPECT_LT(text.size(), 20'000u);
}

TEST(Metrics, ConnectionsAddUpWithTheKernels) {
  Metrics metrics;
  metrics.connection(Verdict::kSpliced, ConnectionReason::kOtherName);
  metrics.mirror_connections(Verdict::kDirect, ConnectionReason::kCircuitOpen, 5);
  metrics.mirror_connections(Verdict::kDirect, ConnectionReason::kCircuitOpen, 3);
  metrics.mirror_connections(Verdict::kDirect, ConnectionReason::kOwnTraffic, 2);
  metrics.connection_opened(Verdict::kRedirected);
  metrics.connection_opened(Verdict::kRedirected);
  metrics.connection_closed(Verdict::kRedirected);
  const auto text = metrics.serialize();
  EXPECT_THAT(text, HasSubstr("{verdict=\"spliced\",reason=\"other_name\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("{verdict=\"direct\",reason=\"circuit_open\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("holdfast_connections_open{verdict=\"redirected\"} 1\n"));
  EXPECT_EQ(metrics.connections(Verdict::kDirect), 7u);
}

TEST(Metrics, LinkStatesAreTransitions) {
  Metrics metrics;
  const auto now = std::chrono::system_clock::time_point{1'700'000'000s};
  metrics.link_state(LinkState::kOnline, now);
  metrics.link_state(LinkState::kOnline, now + 1s);
  metrics.link_state(LinkState::kSuspect, now + 2s);
  EXPECT_THAT(metrics.serialize(), HasSubstr("holdfast_link_up 1\n"));
  metrics.link_state(LinkState::kOffline, now + 3s);
  const auto text = metrics.serialize();
  EXPECT_THAT(text, HasSubstr("holdfast_link_up 0\n"));
  EXPECT_THAT(text, HasSubstr("holdfast_link_transitions_total{to=\"online\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("holdfast_link_last_online_timestamp_seconds 1700000001\n"));
}

TEST(Metrics, LaterStepsShowUpWhenUsed) {
  Metrics metrics;
  metrics.node_info("k3s");
  metrics.node_info("k3s\"} 1\nevil");
  metrics.mirror_cache({.bytes = 1, .budget_bytes = 2, .evictions = 3});
  metrics.watch_opened(WatchState::kHeld);
  metrics.watch_resumed(ResumeHow::kRelist);
  metrics.lease_request(LeasePolicy::kHold, LeaseOutcome::kAcknowledged);
  metrics.lease_foreign_write();
  metrics.heartbeat_age(250ms);
  metrics.upstream_bytes(Direction::kSent, 7);
  const auto text = metrics.serialize();
  for (const char* line :
       {"holdfast_node_info{distribution=\"unknown\"} 1\n", "holdfast_cache_bytes 1\n",
        "holdfast_cache_evictions_total 3\n", "holdfast_watches_open{state=\"held\"} 1\n",
        "holdfast_watch_resumes_total{how=\"relist\"} 1\n",
        "holdfast_lease_requests_total{policy=\"hold\",outcome=\"acknowledged\"} 1\n",
        "holdfast_lease_foreign_writes_total 1\n", "holdfast_heartbeat_age_seconds 0.25\n",
        "holdfast_upstream_bytes_total{direction=\"sent\"} 7\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(Metrics, CountsFromManyThreads) {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&metrics] {
      for (int i = 0; i < 10'000; ++i) {
        metrics.request(kube::Verb::kGet, i % 2 ? "pods" : "nodes", Source::kCache, 200, 1ms);
        if (i % 1000 == 0) (void)metrics.serialize();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(metrics.requests(Source::kCache), 40'000u);
  EXPECT_THAT(metrics.serialize(), HasSubstr("resource=\"pods\",source=\"cache\",code=\"200\"} "
                                             "20000\n"));
}

TEST(Labels, EveryValueHasItsOwnName) {
  const auto check = [](auto first, std::size_t count) {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < count; ++i) {
      names.insert(to_string(static_cast<decltype(first)>(i)));
    }
    EXPECT_EQ(names.size(), count);
    EXPECT_FALSE(names.contains(""));
  };
  check(Source{}, kSources);
  check(Verdict{}, kVerdicts);
  check(ConnectionReason{}, kConnectionReasons);
  check(CacheResult{}, kCacheResults);
  check(LinkState{}, kLinkStates);
  check(WatchState{}, kWatchStates);
  check(ResumeHow{}, kResumeHows);
  check(LeasePolicy{}, kLeasePolicies);
  check(LeaseOutcome{}, kLeaseOutcomes);
  check(Direction{}, kDirections);
}

TEST(Labels, Resources) {
  for (const char* known : {"pods", "secrets", "addons", "volumeattachments"}) {
    EXPECT_EQ(resource_label(known), known);
  }
  EXPECT_EQ(resource_label(""), "none");
  EXPECT_EQ(resource_label("widgets"), "other");
  EXPECT_EQ(resource_label("zzz"), "other");
}

}  // namespace
}  // namespace holdfast::telemetry
