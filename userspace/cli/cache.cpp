#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "admin/units.h"
#include "cli/commands.h"
#include "holdfast/admin/client.h"
#include "holdfast/cli/cli.h"

namespace holdfast::cli {
namespace {

using Json = nlohmann::ordered_json;
using What = admin::CacheQuery::What;
using Row = std::vector<std::string>;

/// What a client chose may hold anything; a terminal must not obey it.
std::string plain(std::string text) {
  for (auto& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text.empty() ? "-" : text;
}

void print(const std::vector<Row>& rows, std::ostream& out) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      out << row[i] << (last ? "" : std::string(widths[i] - row[i].size() + 2, ' '));
    }
    out << "\n";
  }
}

std::string narrowed(const Json& list) {
  std::string out;
  for (const char* key : {"name", "label_selector", "field_selector"}) {
    const auto text = list.value(key, std::string{});
    // One name is asked for by a field selector, which says it already.
    if (text.empty() ||
        (std::string_view{key} == "name" && !list.value("field_selector", "").empty()))
      continue;
    out += (out.empty() ? "" : " ") + text;
  }
  return plain(out);
}

void print_lists(const Json& lists, std::ostream& out) {
  std::vector<Row> rows{{"ID", "PRINCIPAL", "RESOURCE", "NAMESPACE", "SELECTOR", "FORM", "VERSION",
                         "ITEMS", "SIZE", "AGE", "STATE"}};
  for (const auto& list : lists)
    rows.push_back(
        {list.at("id").get<std::string>().substr(0, 12), plain(list.at("principal")),
         plain(list.at("resource")), plain(list.at("namespace")), narrowed(list), list.at("form"),
         list.at("resource_version"), std::to_string(list.at("items").get<std::uint64_t>()),
         admin::bytes_text(list.at("bytes")),
         admin::span_text(std::chrono::seconds{list.at("age_seconds").get<std::int64_t>()}),
         list.at("state")});
  print(rows, out);
}

void print_usage(Json uses, std::ostream& out) {
  std::sort(uses.begin(), uses.end(), [](const Json& a, const Json& b) {
    return a.at("bytes").get<std::uint64_t>() > b.at("bytes").get<std::uint64_t>();
  });
  std::vector<Row> rows{
      {"PRINCIPAL", "RESOURCE", "LISTS", "ITEMS", "OBJECTS", "DOCUMENTS", "SIZE"}};
  for (const auto& use : uses) {
    const auto number = [&](const char* key) {
      return std::to_string(use.at(key).get<std::uint64_t>());
    };
    rows.push_back(
        {plain(use.at("principal")), plain(use.at("resource")), number("lists"), number("items"),
         number("objects"), number("documents"),
         admin::bytes_text(use.at("bytes")) + (use.at("partial").get<bool>() ? "+" : "")});
  }
  print(rows, out);
}

void print_removed(const Json& removed, std::ostream& out) {
  out << "removed what was shown of " << removed.at("removed").get<std::uint64_t>()
      << " resources, " << admin::bytes_text(removed.at("bytes")) << "\n";
}

}  // namespace

int cache(const Target& target, const admin::CacheQuery& query, Format format, std::ostream& out,
          std::ostream& err) {
  const auto socket = socket_of(target);
  if (!socket) {
    err << socket.error().to_string() << "\n";
    return kUsage;
  }
  const bool changes = query.what == What::kRemove;
  if (changes && !query.all && query.principal.empty() && query.resource.empty()) {
    err << "holdfast cache rm: expected --principal, --resource or --all\n";
    return kUsage;
  }
  const auto reply = changes ? admin::post(*socket, admin::to_target(query))
                             : admin::get(*socket, admin::to_target(query));
  if (!reply) {
    err << "holdfast cache: " << reply.error().to_string() << "\n";
    return kUnhealthy;
  }
  if (reply->code != 200) {
    err << "holdfast cache: " << reply->body;
    return kUnhealthy;
  }
  if (format == Format::kJson || query.what == What::kGet) {
    out << reply->body << std::flush;
    return kHealthy;
  }
  const auto json = Json::parse(reply->body, nullptr, false);
  if (json.is_discarded()) {
    err << "holdfast cache: the agent's answer is not understood; is it another version?\n";
    return kUnhealthy;
  }
  if (query.what == What::kLists) print_lists(json, out);
  if (query.what == What::kUsage) print_usage(json, out);
  if (changes) print_removed(json, out);
  return kHealthy;
}

}  // namespace holdfast::cli
