#include <string>

#include "admin/status_rows.h"

namespace holdfast::admin {
namespace {

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\n':
        out += "<br>";
        break;
      default:
        out += c;
    }
  }
  return out;
}

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>Holdfast</title><style>
:root{color-scheme:light dark;--line:#8884;--soft:#888;--bad:#c0392b;--good:#1e8449}
body{font:15px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin:0 0 .2rem}h2{font-size:.8rem;text-transform:uppercase;
letter-spacing:.06em;color:var(--soft);margin:1.6rem 0 .3rem}
table{border-collapse:collapse;width:100%}td{padding:.3rem .5rem .3rem 0;vertical-align:top;
border-top:1px solid var(--line);overflow-wrap:anywhere}td:first-child{width:10rem;color:var(--soft)}
.bad{color:var(--bad);font-weight:600}.dot{display:inline-block;width:.7em;height:.7em;
border-radius:50%;background:var(--good);margin-right:.4em}.dot.off{background:var(--bad)}
footer{margin-top:2rem;color:var(--soft);font-size:.8rem}</style></head><body>
)";

}  // namespace

std::string to_html(const Status& status) {
  const bool online = status.link.state == telemetry::LinkState::kOnline;
  std::string page{kHead};
  page += "<h1>Holdfast on " + escape(status.node) + "</h1><p><span class=\"dot" +
          std::string{status.readiness.ready ? "" : " off"} + "\"></span>" +
          (status.readiness.ready ? "serving" : "not serving") + " &middot; <span class=\"dot" +
          std::string{online ? "" : " off"} + "\"></span>link " +
          escape(telemetry::to_string(status.link.state)) + "</p>\n";
  for (const auto& section : status_sections(status, Readers::kPage)) {
    page += "<h2>" + escape(section.title) + "</h2><table>\n";
    for (const auto& row : section.rows) {
      page += "<tr><td>" + escape(row.label) + "</td><td" + (row.bad ? " class=\"bad\"" : "") +
              ">" + escape(row.text) + "</td></tr>\n";
    }
    page += "</table>\n";
  }
  page +=
      "<footer>Refreshes every 5 seconds. <a href=\"/metrics\">metrics</a> &middot; <a "
      "href=\"/readyz\">readyz</a> &middot; on the node: holdfast status, holdfast trace"
      "</footer></body></html>\n";
  return page;
}

}  // namespace holdfast::admin
