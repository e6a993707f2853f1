#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"

namespace holdfast::kube {

/// A label selector as the query string spells it: `a=b,c!=d,e in (x,y),f notin (z),g,!h,i>5,j<7`
/// (k8s.io/apimachinery/pkg/labels/selector.go).
class LabelSelector {
 public:
  using Labels = std::map<std::string, std::string, std::less<>>;
  static Result<LabelSelector> parse(std::string_view text);
  [[nodiscard]] bool matches(const Labels& labels) const;
  [[nodiscard]] bool empty() const { return requirements_.empty(); }
  /// Requirements sorted by key: equal selectors have equal text.
  [[nodiscard]] std::string canonical() const;

  struct Requirement {
    enum class Operator { kIn, kNotIn, kExists, kDoesNotExist, kGreater, kLess };
    std::string key;
    Operator op{};
    std::vector<std::string> values;  ///< sorted
  };

 private:
  std::vector<Requirement> requirements_;
};

/// A field selector: `metadata.name=x,spec.nodeName!=y` (k8s.io/apimachinery/pkg/fields).
class FieldSelector {
 public:
  static Result<FieldSelector> parse(std::string_view text);
  [[nodiscard]] bool empty() const { return terms_.empty(); }
  [[nodiscard]] std::string canonical() const;
  /// True when only metadata.name and metadata.namespace are asked for, which every kind has.
  [[nodiscard]] bool metadata_only() const;
  [[nodiscard]] bool matches_metadata(std::string_view name, std::string_view ns) const;
  /// The value of `metadata.name=…` when that is demanded exactly; empty else.
  [[nodiscard]] std::string required_name() const;

  struct Term {
    std::string field, value;
    bool equal = true;
  };

 private:
  std::vector<Term> terms_;
};

}  // namespace holdfast::kube
