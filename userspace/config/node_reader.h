#pragma once

#include <yaml-cpp/yaml.h>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/base/result.h"

namespace holdfast::config {

/// Collects what is wrong with a file.
class Problems {
 public:
  static constexpr std::size_t kShown = 20;

  explicit Problems(std::string_view source_name) : source_name_{source_name} {}
  void add(const YAML::Mark& mark, const std::string& key, const std::string& what);
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] Error error() const;

 private:
  std::string source_name_;
  std::string text_;
  std::size_t count_ = 0;
};

/// A place in the file: a YAML node and the path of keys that leads to it. Each `key` call consumes
/// a key of the mapping; what is left over at the end is unknown.
class NodeReader {
 public:
  NodeReader(YAML::Node node, std::string path, Problems& problems);

  /// Calls `read(value)` when the key is there and not null.
  template <std::invocable<const NodeReader&> Read>
  void key(std::string_view name, Read read) {
    known_.emplace_back(name);
    if (!map_) return;
    const YAML::Node value = node_[std::string{name}];
    if (value.IsDefined() && !value.IsNull()) read(NodeReader{value, child(name), *problems_});
  }
  /// A mapping's end: reports keys that nobody asked for, and those written twice.
  void finish() const;
  /// Calls `read(item)` for each item of a sequence.
  template <std::invocable<const NodeReader&> Read>
  void items(Read read) const {
    if (!node_.IsSequence()) return problem("is not a list; expected [a, b, …]");
    for (std::size_t i = 0; i < node_.size(); ++i) {
      read(NodeReader{node_[i], path_ + "[" + std::to_string(i) + "]", *problems_});
    }
  }

  /// The scalar's text; reports anything else.
  bool text(std::string& out) const;
  void flag(bool& out) const;
  void number(unsigned& out, unsigned min, unsigned max) const;

  /// A scalar through one of the grammars of values.h; false when it was reported.
  template <class T, class Parse>
  bool value(T& out, Parse parse) const {
    std::string raw;
    if (!text(raw)) return false;
    Result<T> parsed = parse(std::string_view{raw});
    if (parsed) {
      out = std::move(parsed).value();
    } else {
      problem(parsed.error().message);
    }
    return parsed.has_value();
  }
  /// One of a few words.
  template <class Enum, std::size_t N>
  void choice(Enum& out, const std::pair<std::string_view, Enum> (&words)[N]) const {
    std::string raw;
    if (!text(raw)) return;
    std::string expected;
    for (const auto& [word, v] : words) {
      if (word == raw) {
        out = v;
        return;
      }
      expected += (expected.empty() ? "" : ", ") + std::string{word};
    }
    problem("\"" + raw + "\" is unknown; expected one of " + expected);
  }
  void problem(const std::string& what) const { problems_->add(node_.Mark(), path_, what); }

 private:
  [[nodiscard]] std::string child(std::string_view name) const {
    return path_.empty() ? std::string{name} : path_ + "." + std::string{name};
  }
  YAML::Node node_;
  std::string path_;
  Problems* problems_;
  std::vector<std::string> known_;
  bool map_ = false;
};

/// A sub-mapping: as `key`, with `finish`.
template <class Read>
void section(NodeReader& parent, std::string_view name, Read read) {
  parent.key(name, [&](NodeReader node) {
    read(node);
    node.finish();
  });
}

}  // namespace holdfast::config
