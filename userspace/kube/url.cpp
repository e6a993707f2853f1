#include "kube/url.h"

#include <algorithm>
#include <cctype>

namespace holdfast::kube {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool unescape(std::string_view in, bool plus_is_space, std::string& out) {
  out.clear();
  out.reserve(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (in[i] == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (in[i] != '%') {
      out.push_back(in[i]);
    } else {
      if (in.size() - i < 3) return false;
      const int high = hex_digit(in[i + 1]);
      const int low = hex_digit(in[i + 2]);
      if (high < 0 || low < 0) return false;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return true;
}

}  // namespace

Result<std::string> decode_path(std::string_view path) {
  if (path.empty() || path.front() != '/')
    return make_error(Errc::kInvalidArgument, "request target is not in origin form");
  std::string out;
  if (!unescape(path, false, out))
    return make_error(Errc::kInvalidArgument, "bad percent-escape in the request path");
  return out;
}

Query::Query(std::string_view text) {
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    const auto pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty() || pair.find(';') != std::string_view::npos) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    std::pair<std::string, std::string> decoded;
    if (!unescape(pair.substr(0, equals), true, decoded.first)) continue;
    if (equals < pair.size() && !unescape(pair.substr(equals + 1), true, decoded.second)) continue;
    pairs_.push_back(std::move(decoded));
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
