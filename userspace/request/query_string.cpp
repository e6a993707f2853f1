#include "request/query_string.h"

#include <algorithm>

namespace holdfast::request {
namespace {

// The parameters we change have plain ASCII names; a client that percent-encodes one of them is
// served correctly all the same, since the API server takes the first occurrence and ours is put
// in front.
bool names(std::string_view pair, std::string_view name) {
  return pair.substr(0, pair.find('=')) == name;
}

}  // namespace

std::string rewrite_query(std::string_view target, std::initializer_list<QueryChange> changes) {
  const auto mark = target.find('?');
  std::string out{target.substr(0, mark)};
  char separator = '?';
  const auto append = [&](std::string_view pair) {
    out += separator;
    out += pair;
    separator = '&';
  };
  for (const auto& [name, value] : changes) {
    if (value.empty()) continue;
    append(std::string{name} + "=" + std::string{value});
  }
  auto rest = mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
  while (!rest.empty()) {
    const auto end = std::min(rest.find('&'), rest.size());
    const auto pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const bool changed = std::ranges::any_of(
        changes, [&](const QueryChange& change) { return names(pair, change.first); });
    if (!pair.empty() && !changed) append(pair);
  }
  return out;
}

}  // namespace holdfast::request
