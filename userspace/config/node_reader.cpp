#include "config/node_reader.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace holdfast::config {

void Problems::add(const YAML::Mark& mark, const std::string& key, const std::string& what) {
  if (++count_ > kShown) return;
  if (!text_.empty()) text_ += '\n';
  text_ += source_name_;
  if (!mark.is_null()) {
    text_ += ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
  }
  text_ += ": " + (key.empty() ? std::string{} : key + ": ") + what;
}

Error Problems::error() const {
  std::string text = text_;
  if (count_ > kShown) text += "\n… and " + std::to_string(count_ - kShown) + " more";
  return make_error(Errc::kInvalidArgument, std::move(text));
}

NodeReader::NodeReader(YAML::Node node, std::string path, Problems& problems)
    : node_{std::move(node)}, path_{std::move(path)}, problems_{&problems}, map_{node_.IsMap()} {}

void NodeReader::finish() const {
  if (node_.IsNull()) return;
  if (!map_) return problem("is not a mapping; expected KEY: VALUE lines");
  std::set<std::string> seen;
  for (const auto& entry : node_) {
    if (!entry.first.IsScalar()) {
      problems_->add(entry.first.Mark(), path_, "has a key that is not a word");
      continue;
    }
    const std::string& name = entry.first.Scalar();
    if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
      std::string expected;
      for (const auto& known : known_) expected += (expected.empty() ? "" : ", ") + known;
      problems_->add(entry.first.Mark(), child(name), "is unknown; expected one of " + expected);
    } else if (!seen.insert(name).second) {
      problems_->add(entry.first.Mark(), child(name), "is there twice; expected once");
    }
  }
}

bool NodeReader::text(std::string& out) const {
  if (!node_.IsScalar()) {
    problem(std::string{node_.IsMap() ? "is a mapping" : "is a list"} +
            "; expected a single value");
    return false;
  }
  out = node_.Scalar();
  return true;
}

void NodeReader::flag(bool& out) const {
  std::string raw;
  if (!text(raw)) return;
  // YAML 1.1 words, of which `on` and `off` are used in our own documentation.
  for (const char* word : {"true", "on", "yes"}) {
    if (raw == word) {
      out = true;
      return;
    }
  }
  for (const char* word : {"false", "off", "no"}) {
    if (raw == word) {
      out = false;
      return;
    }
  }
  problem("\"" + raw + "\" is neither; expected true or false");
}

void NodeReader::number(unsigned& out, unsigned min, unsigned max) const {
  std::string raw;
  if (!text(raw)) return;
  unsigned value = 0;
  const auto [end, ec] = std::from_chars(raw.data(), raw.data() + raw.size(), value);
  if (ec != std::errc{} || end != raw.data() + raw.size() || value < min || value > max) {
    return problem("\"" + raw + "\" is out of range; expected a whole number from " +
                   std::to_string(min) + " to " + std::to_string(max));
  }
  out = value;
}

}  // namespace holdfast::config
