#include "http/fields.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace holdfast::http {
namespace {

constexpr std::array<std::string_view, 9> kHopByHop = {"connection",
                                                       "keep-alive",
                                                       "proxy-authenticate",
                                                       "proxy-authorization",
                                                       "proxy-connection",
                                                       "te",
                                                       "trailer",
                                                       "transfer-encoding",
                                                       "upgrade"};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

template <class Visit>
void each_token(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    const auto token = trim(list.substr(0, comma));
    if (!token.empty()) visit(token);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

std::string json_escaped(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u < 0x20 || u >= 0x7f) {
      out += "\\u00";
      out += kHex[u >> 4];
      out += kHex[u & 15];
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

bool is_hop_by_hop(std::string_view lower_name) {
  return std::find(kHopByHop.begin(), kHopByHop.end(), lower_name) != kHopByHop.end();
}

void strip_hop_by_hop(Headers& headers) {
  std::vector<std::string> named;
  for (const auto& field : headers) {
    if (field.name != "connection") continue;
    each_token(field.value, [&](std::string_view token) {
      std::string name{token};
      std::transform(name.begin(), name.end(), name.begin(), lower);
      named.push_back(std::move(name));
    });
  }
  for (const auto& name : named) headers.remove(name);
  for (const auto name : kHopByHop) headers.remove(name);
}

bool list_has_token(std::string_view list, std::string_view token) {
  bool found = false;
  each_token(list, [&](std::string_view item) {
    found = found || std::equal(item.begin(), item.end(), token.begin(), token.end(),
                                [](char a, char b) { return lower(a) == b; });
  });
  return found;
}

bool is_safe(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

bool is_field_name(std::string_view name) {
  static constexpr std::string_view kOther = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || kOther.find(c) != kOther.npos;
  });
}

std::optional<std::uint64_t> content_length(const Headers& headers) {
  const auto value = headers.find("content-length");
  if (!value) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, ec] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (ec != std::errc{} || end != value->data() + value->size()) return std::nullopt;
  return number;
}

bool is_bodiless(std::string_view method, unsigned status) {
  return method == "HEAD" || status == 204 || status == 304;
}

StatusAnswer status_answer(unsigned code, std::string_view reason, std::string_view message) {
  StatusAnswer answer;
  answer.body =
      R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":")" +
      json_escaped(message) + R"(","reason":")" + std::string{reason} + R"(","code":)" +
      std::to_string(code) + "}\n";
  answer.head.status = code;
  answer.head.headers = {{"content-type", "application/json"},
                         {"content-length", std::to_string(answer.body.size())}};
  return answer;
}

}  // namespace holdfast::http
