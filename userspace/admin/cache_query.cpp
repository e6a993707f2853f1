#include "holdfast/admin/cache_query.h"

#include <algorithm>
#include <array>
#include <utility>

#include "holdfast/base/percent.h"

namespace holdfast::admin {
namespace {

using What = CacheQuery::What;

constexpr std::array<std::pair<std::string_view, What>, 4> kPages{
    {{"lists", What::kLists}, {"usage", What::kUsage}, {"get", What::kGet}, {"rm", What::kRemove}}};

constexpr std::array<std::pair<std::string_view, std::string CacheQuery::*>, 5> kTexts{
    {{"principal", &CacheQuery::principal},
     {"resource", &CacheQuery::resource},
     {"id", &CacheQuery::id},
     {"namespace", &CacheQuery::ns},
     {"name", &CacheQuery::name}}};

constexpr std::array<std::pair<std::string_view, bool CacheQuery::*>, 2> kFlags{
    {{"secrets", &CacheQuery::secrets}, {"all", &CacheQuery::all}}};

Error invalid(std::string message) {
  return make_error(Errc::kInvalidArgument, std::move(message));
}

}  // namespace

std::string to_target(const CacheQuery& query) {
  std::string out = "/v1/cache/";
  for (const auto& [name, what] : kPages)
    if (what == query.what) out += name;
  char next = '?';
  const auto add = [&](std::string_view key, std::string_view value) {
    out += std::exchange(next, '&');
    out += std::string{key} + "=" + percent_encode(value);
  };
  for (const auto& [key, member] : kTexts)
    if (!(query.*member).empty()) add(key, query.*member);
  for (const auto& [key, member] : kFlags)
    if (query.*member) add(key, "1");
  return out;
}

Result<CacheQuery> parse_cache_query(std::string_view page, std::string_view query) {
  CacheQuery out;
  const auto known = std::ranges::find(kPages, page, [](const auto& p) { return p.first; });
  if (known == kPages.end()) return invalid("no such page");
  out.what = known->second;
  while (!query.empty()) {
    const auto part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(part.size() + 1, query.size()));
    const auto key = part.substr(0, part.find('='));
    auto value = percent_decode(part.substr(std::min(key.size() + 1, part.size())), true);
    if (!value) return invalid("the query is malformed");
    const auto text = std::ranges::find(kTexts, key, [](const auto& t) { return t.first; });
    const auto flag = std::ranges::find(kFlags, key, [](const auto& f) { return f.first; });
    if (text != kTexts.end()) {
      out.*(text->second) = std::move(*value);
    } else if (flag != kFlags.end()) {
      out.*(flag->second) = *value == "1";
    } else {
      return invalid("the query has an unknown key");
    }
  }
  return out;
}

}  // namespace holdfast::admin
