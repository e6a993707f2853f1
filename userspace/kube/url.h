#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"

namespace holdfast::kube {

/// A request target's path, percent-decoded (`+` stays a plus). kInvalidArgument: a bad escape,
/// or a target that is not in origin form.
Result<std::string> decode_path(std::string_view path);

/// The pairs of a query string in their order, decoded as Go's `url.Values` are: `+` is a space,
/// and a pair with a bad escape or a `;` is dropped, not an error (net/url.Query).
class Query {
 public:
  explicit Query(std::string_view text);
  /// The first value of that key; nullptr when there is none.
  [[nodiscard]] const std::string* find(std::string_view key) const;
  /// As `find`, empty when there is none.
  [[nodiscard]] std::string get(std::string_view key) const;
  /// True when a key is in it that is not among `known`.
  [[nodiscard]] bool has_other_than(std::span<const std::string_view> known) const;

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

/// As runtime.Convert_Slice_string_To_bool: only "0", "false" (any case) and absence are false.
bool query_bool(const std::string* value);

}  // namespace holdfast::kube
