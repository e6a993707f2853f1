#include "kube/url.h"

#include <algorithm>
#include <cctype>

#include "holdfast/base/percent.h"

namespace holdfast::kube {

Result<std::string> decode_path(std::string_view path) {
  if (path.empty() || path.front() != '/')
    return make_error(Errc::kInvalidArgument, "request target is not in origin form");
  auto out = percent_decode(path, false);
  if (!out) return make_error(Errc::kInvalidArgument, "bad percent-escape in the request path");
  return std::move(*out);
}

Query::Query(std::string_view text) {
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    const auto pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty() || pair.find(';') != std::string_view::npos) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    auto key = percent_decode(pair.substr(0, equals), true);
    auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (key && value) pairs_.emplace_back(std::move(*key), std::move(*value));
  }
}

const std::string* Query::find(std::string_view key) const {
  const auto it =
      std::find_if(pairs_.begin(), pairs_.end(), [&](const auto& p) { return p.first == key; });
  return it == pairs_.end() ? nullptr : &it->second;
}

std::string Query::get(std::string_view key) const {
  const auto* value = find(key);
  return value ? *value : std::string{};
}

bool Query::has_other_than(std::span<const std::string_view> known) const {
  return std::ranges::any_of(pairs_, [known](const auto& pair) {
    return std::ranges::find(known, pair.first) == known.end();
  });
}

bool query_bool(const std::string* value) {
  if (!value || *value == "0") return false;
  constexpr std::string_view kFalse = "false";
  return !std::equal(value->begin(), value->end(), kFalse.begin(), kFalse.end(),
                     [](unsigned char a, char b) { return std::tolower(a) == b; });
}

}  // namespace holdfast::kube
