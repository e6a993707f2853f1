#include <algorithm>
#include <string>

#include "admin/status_rows.h"
#include "admin/units.h"

namespace holdfast::admin {
namespace {

std::string join(const std::vector<std::string>& parts, const char* none) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text.empty() ? none : text;
}

template <class Enum, class Numbers>
std::string numbers_text(const Numbers& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    text += (text.empty() ? "" : ", ") + std::to_string(numbers[i]) + " " +
            std::string{telemetry::to_string(static_cast<Enum>(i))};
  }
  return text;
}

StatusSection agent_section(const Status& s) {
  StatusSection section{"Agent", {}};
  section.rows.push_back(
      {"Ready", s.readiness.ready ? "yes" : join(s.readiness.reasons, "no"), !s.readiness.ready});
  section.rows.push_back({"Node", s.node});
  if (!s.distribution.empty()) {
    section.rows.push_back(
        {"Distribution", s.distribution + " " + s.role + ": " + s.distribution_reason});
  }
  section.rows.push_back({"Version", s.version + " (" + s.commit + ")"});
  section.rows.push_back({"Running for", span_text(s.now - s.started)});
  section.rows.push_back({"Configuration", s.config_path});
  if (!s.config_error.empty()) {
    section.rows.push_back({"", "not in force: " + s.config_error, true});
  }
  if (!s.restart_needed.empty()) {
    section.rows.push_back({"", "waits for a restart: " + join(s.restart_needed, ""), true});
  }
  return section;
}

StatusSection link_section(const Status& s) {
  StatusSection section{"Link", {}};
  std::string state{telemetry::to_string(s.link.state)};
  if (s.link.since) state += " for " + span_text(s.now - *s.link.since);
  section.rows.push_back({"State", state, s.link.state != telemetry::LinkState::kOnline});
  if (s.link.state != telemetry::LinkState::kOnline) {
    section.rows.push_back({"Last online", ago_text(s.link.last_online, s.now)});
  }
  for (const auto& server : s.link.servers) {
    std::string text = server.healthy ? "healthy" : "not reachable";
    if (server.rtt) {
      text += ", " + std::to_string(server.rtt->count() / 1000) + "." +
              std::to_string(server.rtt->count() / 100 % 10) + " ms";
    }
    section.rows.push_back({server.address, text, !server.healthy});
  }
  return section;
}

StatusSection intercept_section(const Status& s) {
  const auto& in = s.intercept;
  StatusSection section{"Interception", {}};
  const bool stale = !in.heartbeat_age || *in.heartbeat_age > std::chrono::seconds{2};
  std::string state = "off by configuration";
  if (in.enabled) state = !in.attached ? "not attached" : stale ? "paused: no heartbeat" : "on";
  const bool meant = in.enabled && in.off_reason.empty();
  if (in.enabled && !meant) state = "off: " + in.off_reason;
  section.rows.push_back({"State", state, meant && (!in.attached || stale)});
  section.rows.push_back({"Targets", join(in.targets, "none")});
  if (!in.certificate.empty()) section.rows.push_back({"Certificate", in.certificate});
  section.rows.push_back({"Listening", join(in.listen, "nowhere")});
  section.rows.push_back({"Circuits open", std::to_string(in.circuits_open), in.circuits_open > 0});
  if (in.flow_events_lost > 0) {
    section.rows.push_back({"Flow events lost", std::to_string(in.flow_events_lost), true});
  }
  return section;
}

StatusSection traffic_section(const Status& s) {
  return {"Traffic",
          {{"Connections", numbers_text<telemetry::Verdict>(s.connections.open)},
           {"Since start", numbers_text<telemetry::Verdict>(s.connections.total)},
           {"Requests", numbers_text<telemetry::Source>(s.requests)}}};
}

// Whoever may run a program chooses its path: none of it is for the terminal to obey.
std::string printable(std::string text) {
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

StatusSection spliced_section(const Status& s) {
  StatusSection section{"Spliced clients", {}};
  for (const auto& client : s.spliced) {
    section.rows.push_back({printable(client.executable), client.reason + " in " +
                                                              printable(client.workload) + " to " +
                                                              client.target + ", tried again in " +
                                                              span_text(client.until - s.now)});
  }
  return section;
}

std::string key_text(const std::string& place) {
  if (place == "tpm") return "sealed by this machine's TPM";
  if (place == "file") return "a file beside the data";
  if (place == "command") return "what cache.key's command prints";
  if (place == "off") return "none, nothing is encrypted";
  return place == "memory" ? "in memory" : place;
}

StatusSection cache_section(const Status& s) {
  const auto& c = s.cache;
  std::string usage = bytes_text(c.bytes) + " of " + bytes_text(c.budget_bytes);
  if (c.budget_bytes > 0) {
    const auto percent = static_cast<double>(c.bytes) * 100 / static_cast<double>(c.budget_bytes);
    usage += " (" + std::to_string(static_cast<int>(percent)) + " %)";
  }
  StatusSection section{"Cache", {}};
  if (!c.problem.empty()) section.rows.push_back({"In memory only", c.problem});
  section.rows.push_back({"Usage", usage});
  section.rows.push_back({"Holds", std::to_string(c.objects) + " objects in " +
                                       std::to_string(c.collections) + " collections"});
  if (!c.key.empty()) section.rows.push_back({"Key", key_text(c.key)});
  section.rows.push_back({"Reads", numbers_text<telemetry::CacheResult>(c.reads)});
  if (c.evictions > 0) section.rows.push_back({"Evictions", std::to_string(c.evictions)});
  if (c.write_errors > 0) {
    section.rows.push_back({"Failed writes", std::to_string(c.write_errors)});
  }
  if (c.write_queue_bytes > 0) {
    section.rows.push_back({"To be written", bytes_text(c.write_queue_bytes)});
  }
  return section;
}

StatusSection outage_section(const Status& s, Readers readers) {
  StatusSection section{"A long outage", {}};
  if (!s.evictions) {
    section.rows.push_back({"Deletes", "not known: no kubelet read its pods through the agent"});
  } else if (s.evictions->empty()) {
    section.rows.push_back({"Deletes", "none of this node's pods"});
  } else if (readers == Readers::kPage) {
    section.rows.push_back(
        {"Deletes",
         std::to_string(s.evictions->size()) + " of this node's pods; holdfast status names them",
         true});
  } else {
    std::string label = "Deletes";
    for (const auto& eviction : *s.evictions) {
      section.rows.push_back({label,
                              eviction.ns + "/" + eviction.pod + " after " +
                                  span_text(eviction.after) + " of being unreachable",
                              true});
      label.clear();
    }
  }
  return section;
}

}  // namespace

std::vector<StatusSection> status_sections(const Status& status, Readers readers) {
  std::vector<StatusSection> sections{agent_section(status), link_section(status),
                                      intercept_section(status), traffic_section(status)};
  if (!status.spliced.empty()) sections.push_back(spliced_section(status));
  sections.push_back(cache_section(status));
  sections.push_back(outage_section(status, readers));
  return sections;
}

std::string to_text(const Status& status) {
  std::string text;
  for (const auto& section : status_sections(status, Readers::kSocket)) {
    text += section.title + "\n";
    for (const auto& row : section.rows) {
      std::string label = "  " + row.label;
      if (label.size() < 20) label.resize(20, ' ');
      text += label + " " + row.text + "\n";
    }
  }
  return text;
}

}  // namespace holdfast::admin
