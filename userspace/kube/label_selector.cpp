#include <algorithm>
#include <charconv>
#include <optional>
#include <tuple>

#include "holdfast/kube/selector.h"

// Follows k8s.io/apimachinery/pkg/labels/selector.go, v0.37.2: its lexer, its grammar and the
// validation that NewRequirement does.
namespace holdfast::kube {
namespace {

using Requirement = LabelSelector::Requirement;
using Operator = Requirement::Operator;

enum class Token { kEnd, kClose, kComma, kNot, kEquals, kGreater, kLess, kNotEquals, kOpen, kWord };

struct Item {
  Token token = Token::kEnd;
  std::string_view text;
};

Error invalid(std::string what) {
  return make_error(Errc::kInvalidArgument, "unable to parse label selector: " + std::move(what));
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
bool is_special(char c) {
  return std::string_view{"=!(),><"}.find(c) != std::string_view::npos;
}

std::vector<Item> scan(std::string_view text) {
  std::vector<Item> items;
  while (!text.empty()) {
    if (is_space(text.front())) {
      text.remove_prefix(1);
      continue;
    }
    Item item;
    std::size_t size = 1;
    switch (text.front()) {
      case ')':
        item.token = Token::kClose;
        break;
      case '(':
        item.token = Token::kOpen;
        break;
      case ',':
        item.token = Token::kComma;
        break;
      case '>':
        item.token = Token::kGreater;
        break;
      case '<':
        item.token = Token::kLess;
        break;
      case '=':
        item.token = Token::kEquals;
        if (text.substr(0, 2) == "==") size = 2;
        break;
      case '!':
        item.token = Token::kNot;
        if (text.substr(0, 2) == "!=") {
          item.token = Token::kNotEquals;
          size = 2;
        }
        break;
      default:
        item.token = Token::kWord;
        while (size < text.size() && !is_space(text[size]) && !is_special(text[size])) ++size;
    }
    item.text = text.substr(0, size);
    items.push_back(item);
    text.remove_prefix(size);
  }
  items.emplace_back();
  return items;
}

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_name(std::string_view text) {  // content.IsLabelKey's name part
  return !text.empty() && text.size() <= 63 && is_alnum(text.front()) && is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_subdomain(std::string_view text) {  // content.IsDNS1123Subdomain
  if (text.empty() || text.size() > 253) return false;
  char before = '.';
  for (const char c : text) {
    const bool alnum = is_alnum(c) && !(c >= 'A' && c <= 'Z');
    if (!alnum && c != '-' && c != '.') return false;
    if (c == '-' && before == '.') return false;
    if (c == '.' && (before == '.' || before == '-')) return false;
    before = c;
  }
  return before != '.' && before != '-';
}

bool is_label_key(std::string_view key) {
  const auto slash = key.find('/');
  if (slash == std::string_view::npos) return is_name(key);
  return is_subdomain(key.substr(0, slash)) && is_name(key.substr(slash + 1));
}

std::optional<std::int64_t> to_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : items_{scan(text)} {}

  Result<std::vector<Requirement>> parse() {
    std::vector<Requirement> out;
    if (peek().token == Token::kEnd) return out;
    for (;;) {
      auto requirement = parse_requirement();
      if (!requirement) return requirement.error();
      out.push_back(std::move(*requirement));
      const auto next = take();
      if (next.token == Token::kEnd) return out;
      if (next.token != Token::kComma) return unexpected(next, "',' or the end");
    }
  }

 private:
  const Item& peek() const { return items_[at_]; }
  /// The last item is the end, which is never passed.
  Item take() { return at_ + 1 < items_.size() ? items_[at_++] : items_[at_]; }

  static Error unexpected(const Item& item, std::string_view wanted) {
    return invalid("found '" + std::string{item.text} + "', expected: " + std::string{wanted});
  }

  Result<Requirement> parse_requirement() {
    Requirement out;
    auto item = take();
    const bool negated = item.token == Token::kNot;
    if (negated) item = take();
    if (item.token != Token::kWord) return unexpected(item, "identifier");
    if (!is_label_key(item.text)) return invalid("'" + std::string{item.text} + "' is not a key");
    out.key = item.text;
    const auto next = peek().token;
    if (negated || next == Token::kEnd || next == Token::kComma) {
      out.op = negated ? Operator::kDoesNotExist : Operator::kExists;
      return out;
    }
    const auto op = take();
    Result<void> values = {};
    if (op.token == Token::kEquals || op.token == Token::kNotEquals) {
      out.op = op.token == Token::kEquals ? Operator::kIn : Operator::kNotIn;
      values = parse_value(out.values);
    } else if (op.token == Token::kGreater || op.token == Token::kLess) {
      out.op = op.token == Token::kGreater ? Operator::kGreater : Operator::kLess;
      values = parse_value(out.values);
      if (values && !to_integer(out.values.front()))
        values = invalid("'" + out.values.front() + "' is not an integer");
    } else if (op.token == Token::kWord && (op.text == "in" || op.text == "notin")) {
      out.op = op.text == "in" ? Operator::kIn : Operator::kNotIn;
      values = parse_values(out.values);
    } else {
      return unexpected(op, "in, notin, =, ==, !=, > or <");
    }
    if (!values) return values.error();
    std::sort(out.values.begin(), out.values.end());
    out.values.erase(std::unique(out.values.begin(), out.values.end()), out.values.end());
    for (const auto& value : out.values)
      if (!value.empty() && !is_name(value)) return invalid("'" + value + "' is not a value");
    return out;
  }

  Result<void> parse_value(std::vector<std::string>& out) {
    if (peek().token == Token::kEnd || peek().token == Token::kComma) {
      out.emplace_back();
      return {};
    }
    const auto item = take();
    if (item.token != Token::kWord) return unexpected(item, "identifier");
    out.emplace_back(item.text);
    return {};
  }

  /// `(a,b)`; an empty place between commas or parentheses is the empty value.
  Result<void> parse_values(std::vector<std::string>& out) {
    if (const auto item = take(); item.token != Token::kOpen) return unexpected(item, "'('");
    for (;;) {
      if (peek().token == Token::kWord)
        out.emplace_back(take().text);
      else
        out.emplace_back();
      const auto item = take();
      if (item.token == Token::kClose) return {};
      if (item.token != Token::kComma) return unexpected(item, "',' or ')'");
    }
  }

  std::vector<Item> items_;
  std::size_t at_ = 0;
};

bool matches_one(const Requirement& r, const LabelSelector::Labels& labels) {
  const auto it = labels.find(r.key);
  const bool exists = it != labels.end();
  const auto has_value = [&] {
    return std::binary_search(r.values.begin(), r.values.end(), it->second);
  };
  switch (r.op) {
    case Operator::kIn:
      return exists && has_value();
    case Operator::kNotIn:
      return !exists || !has_value();
    case Operator::kExists:
      return exists;
    case Operator::kDoesNotExist:
      return !exists;
    case Operator::kGreater:
    case Operator::kLess: {
      if (!exists) return false;
      const auto have = to_integer(it->second);
      const auto want = to_integer(r.values.front());
      if (!have || !want) return false;
      return r.op == Operator::kGreater ? *have > *want : *have < *want;
    }
  }
  return false;
}

std::string to_text(const Requirement& r) {
  const auto joined = [&] {
    std::string out;
    for (const auto& value : r.values) out += (&value == r.values.data() ? "" : ",") + value;
    return out;
  };
  const bool single = r.values.size() == 1;
  switch (r.op) {
    case Operator::kIn:
      return single ? r.key + "=" + r.values[0] : r.key + " in (" + joined() + ")";
    case Operator::kNotIn:
      return single ? r.key + "!=" + r.values[0] : r.key + " notin (" + joined() + ")";
    case Operator::kExists:
      return r.key;
    case Operator::kDoesNotExist:
      return "!" + r.key;
    case Operator::kGreater:
      return r.key + ">" + joined();
    case Operator::kLess:
      return r.key + "<" + joined();
  }
  return {};
}

}  // namespace

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return invalid("NUL in the text");
  auto parsed = Parser{text}.parse();
  if (!parsed) return parsed.error();
  const auto order = [](const Requirement& r) { return std::tie(r.key, r.op, r.values); };
  std::sort(parsed->begin(), parsed->end(),
            [&](const auto& a, const auto& b) { return order(a) < order(b); });
  parsed->erase(std::unique(parsed->begin(), parsed->end(),
                            [&](const auto& a, const auto& b) { return order(a) == order(b); }),
                parsed->end());
  LabelSelector out;
  out.requirements_ = std::move(*parsed);
  return out;
}

bool LabelSelector::matches(const Labels& labels) const {
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const auto& r) { return matches_one(r, labels); });
}

std::string LabelSelector::canonical() const {
  std::string out;
  for (const auto& r : requirements_) {
    if (!out.empty()) out += ',';
    out += to_text(r);
  }
  return out;
}

}  // namespace holdfast::kube
