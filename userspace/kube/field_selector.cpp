#include <algorithm>
#include <optional>
#include <tuple>

#include "holdfast/kube/selector.h"

// Follows k8s.io/apimachinery/pkg/fields/selector.go, v0.37.2.
namespace holdfast::kube {
namespace {

constexpr std::string_view kName = "metadata.name";
constexpr std::string_view kNamespace = "metadata.namespace";

/// Splits at commas that no backslash escapes, and sorts as parseSelector does: of two demands on
/// one field the first in this order is the one that RequiresExactMatch reports.
std::vector<std::string_view> split_terms(std::string_view text) {
  std::vector<std::string_view> terms;
  std::size_t start = 0;
  bool escaped = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (escaped) {
      escaped = false;
    } else if (text[i] == '\\') {
      escaped = true;
    } else if (text[i] == ',') {
      terms.push_back(text.substr(start, i - start));
      start = i + 1;
    }
  }
  terms.push_back(text.substr(start));
  std::sort(terms.begin(), terms.end());
  return terms;
}

std::optional<std::string> unescape_value(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ',' || text[i] == '=') return std::nullopt;
    if (text[i] == '\\' &&
        (++i == text.size() || (text[i] != '\\' && text[i] != ',' && text[i] != '=')))
      return std::nullopt;
    out.push_back(text[i]);
  }
  return out;
}

std::string escape_value(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == ',' || c == '=') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

/// The field ends at the first operator: `!=`, `==` or `=`.
std::optional<FieldSelector::Term> parse_term(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto two = text.substr(i, 2);
    if (text[i] != '=' && two != "!=") continue;
    const std::size_t size = two == "!=" || two == "==" ? 2 : 1;
    auto value = unescape_value(text.substr(i + size));
    if (!value) return std::nullopt;
    return FieldSelector::Term{std::string{text.substr(0, i)}, std::move(*value), two != "!="};
  }
  return std::nullopt;
}

}  // namespace

Result<FieldSelector> FieldSelector::parse(std::string_view text) {
  FieldSelector out;
  for (const auto part : split_terms(text)) {
    if (part.empty()) continue;
    auto term = parse_term(part);
    if (!term)
      return make_error(
          Errc::kInvalidArgument,
          "unable to parse field selector: can't understand '" + std::string{part} + "'");
    // Transform drops a term with neither field nor value.
    if (term->field.empty() && term->value.empty()) continue;
    out.terms_.push_back(std::move(*term));
  }
  return out;
}

std::string FieldSelector::canonical() const {
  auto terms = terms_;
  const auto order = [](const Term& t) { return std::tie(t.field, t.equal, t.value); };
  std::sort(terms.begin(), terms.end(),
            [&](const auto& a, const auto& b) { return order(a) < order(b); });
  terms.erase(std::unique(terms.begin(), terms.end(),
                          [&](const auto& a, const auto& b) { return order(a) == order(b); }),
              terms.end());
  std::string out;
  for (const auto& term : terms) {
    if (!out.empty()) out += ',';
    out += term.field + (term.equal ? "=" : "!=") + escape_value(term.value);
  }
  return out;
}

bool FieldSelector::metadata_only() const {
  return std::all_of(terms_.begin(), terms_.end(),
                     [](const Term& t) { return t.field == kName || t.field == kNamespace; });
}

bool FieldSelector::matches_metadata(std::string_view name, std::string_view ns) const {
  return std::all_of(terms_.begin(), terms_.end(), [&](const Term& t) {
    if (t.field != kName && t.field != kNamespace) return false;  // can't tell: don't show
    return (t.value == (t.field == kName ? name : ns)) == t.equal;
  });
}

std::string FieldSelector::required_name() const {
  const auto it = std::find_if(terms_.begin(), terms_.end(),
                               [](const Term& t) { return t.equal && t.field == kName; });
  return it == terms_.end() ? std::string{} : it->value;
}

}  // namespace holdfast::kube
