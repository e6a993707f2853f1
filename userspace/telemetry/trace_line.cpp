#include <cstdio>

#include "holdfast/telemetry/time_text.h"
#include "holdfast/telemetry/trace_event.h"

namespace holdfast::telemetry {
namespace {

/// Names that a process or a client chose are printed to a terminal: no escape sequences.
std::string printable(std::string_view text) {
  std::string out{text};
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

std::string who(const std::optional<PodRef>& pod, const std::string& comm, std::uint32_t pid) {
  if (pod && !pod->name.empty()) return printable(pod->ns + "/" + pod->name);
  if (comm.empty()) return pid == 0 ? "-" : std::to_string(pid);
  return printable(comm) + "[" + std::to_string(pid) + "]";
}

std::string clock_of(std::chrono::system_clock::time_point time) {
  return to_rfc3339(time).substr(11, 12);  // 03:04:05.678
}

std::string line(std::chrono::system_clock::time_point time, const char* kind,
                 std::string_view what, const std::string& client, const std::string& rest) {
  char head[64];
  std::snprintf(head, sizeof head, "%s %-7s %-10.*s ", clock_of(time).c_str(), kind,
                static_cast<int>(what.size()), what.data());
  std::string padded = client;
  if (padded.size() < 32) padded.resize(32, ' ');
  return head + padded + " " + rest;
}

std::string ms(std::chrono::microseconds us) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1fms", static_cast<double>(us.count()) / 1e3);
  return text;
}

std::string flow_line(const FlowEvent& e) {
  std::string rest = e.original ? e.original->to_string() : "-";
  if (!e.reason.empty() && e.reason != "none") rest += " (" + printable(e.reason) + ")";
  if (e.duration) {
    rest += " closed after " + ms(*e.duration) + ", " + std::to_string(e.bytes_sent) + " B sent, " +
            std::to_string(e.bytes_received) + " B received";
    if (e.retransmits != 0) rest += ", " + std::to_string(e.retransmits) + " retransmits";
  } else {
    rest += e.established ? " established in " + ms(*e.established) : " connecting";
  }
  return line(e.time, "flow", to_string(e.verdict), who(e.pod, e.comm, e.pid), rest);
}

std::string request_line(const RequestEvent& e) {
  std::string object = e.resource.empty() ? "-" : e.resource;
  if (!e.ns.empty()) object = e.ns + "/" + object;
  if (!e.name.empty()) object += "/" + e.name;
  // Offline or before its first answer, a client may have no name yet.
  const auto client = e.principal.empty() ? who(e.pod, e.comm, e.pid) : printable(e.principal);
  return line(e.time, "request", to_string(e.source), client,
              std::to_string(e.code) + " " + printable(e.verb) + " " + printable(object) + " " +
                  ms(e.duration) + " " + std::to_string(e.bytes) + " B");
}

}  // namespace

std::string to_line(const TraceEvent& event) {
  if (const auto* flow = std::get_if<FlowEvent>(&event)) return flow_line(*flow);
  return request_line(std::get<RequestEvent>(event));
}

std::string_view trace_heading() {
  return "TIME         KIND    WHAT       CLIENT                           DETAILS";
}

}  // namespace holdfast::telemetry
