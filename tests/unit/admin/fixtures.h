#pragma once

#include "holdfast/admin/server.h"

namespace holdfast::admin {

inline Status example_status() {
  using namespace std::chrono_literals;
  const auto now = std::chrono::system_clock::time_point{1'767'323'045s};
  Status s{.version = "0.1.0",
           .commit = "abc",
           .node = "edge-1",
           .distribution = "k3s",
           .role = "agent",
           .distribution_reason = "/k3s is there",
           .now = now,
           .started = now - 3h,
           .readiness = {true, {}}};
  s.link = {.state = telemetry::LinkState::kOffline,
            .since = now - 90s,
            .last_online = now - 95s,
            .servers = {{"198.18.0.1:443", false, 1500us}, {"198.18.0.2:443", true, {}}}};
  s.intercept = {.enabled = true,
                 .attached = true,
                 .targets = {"198.18.0.1:443"},
                 .certificate = "valid until 2026-02-01T00:00:00Z",
                 .listen = {"169.254.77.1:6443"},
                 .circuits_open = 1,
                 .flow_events_lost = 2,
                 .heartbeat_age = 250ms};
  s.connections.open = {3, 2, 1};
  s.connections.total = {30, 20, 10};
  s.spliced = {{.executable = "/app\x1b[2J",
                .workload = "pod 1-2",
                .target = "198.18.0.1:443",
                .reason = "handshake_failed",
                .certificate = "",
                .until = now + 10min}};
  s.requests = {5, 4, 3, 2, 1};
  s.cache = {.bytes = 512u << 20,
             .budget_bytes = 1u << 30,
             .objects = 7,
             .collections = 6,
             .evictions = 5,
             .write_queue_bytes = 4096,
             .reads = {1, 2, 3, 4}};
  s.evictions = {{.ns = "shop", .pod = "till-0", .after = 300s}};
  s.config_path = "/etc/holdfast/config.yaml";
  s.config_error = "c.yaml:1:1: <b>bad</b>";
  s.restart_needed = {"threads"};
  return s;
}

class FakeSource final : public Source {
 public:
  Status status() override {
    auto status = example_status();
    status.readiness = readiness;
    return status;
  }
  Readiness ready() override { return readiness; }
  std::string metrics() override { return metrics_text; }
  telemetry::Broadcast& trace() override { return broadcast; }
  Reply cache(const CacheQuery& query) override {
    cache_asked = query;
    return cache_reply;
  }

  Readiness readiness{true, {}};
  std::string metrics_text = "holdfast_link_up 1\n";
  telemetry::Broadcast broadcast;
  CacheQuery cache_asked;
  Reply cache_reply{200, "{}"};
};

}  // namespace holdfast::admin
