#include "holdfast/policy/glob.h"

#include <cstddef>

namespace holdfast::policy {
namespace {

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Greedy with one place to come back to: a later `*` makes earlier ones irrelevant.
template <class Equal>
bool match(std::string_view pattern, std::string_view text, Equal equal) noexcept {
  std::size_t p = 0, t = 0;
  std::size_t star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || equal(pattern[p], text[t]))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) noexcept {
  return match(pattern, text, [](char a, char b) { return a == b; });
}

bool glob_match_nocase(std::string_view pattern, std::string_view text) noexcept {
  return match(pattern, text, [](char a, char b) { return lower(a) == lower(b); });
}

}  // namespace holdfast::policy
