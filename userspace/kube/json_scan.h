#pragma once

#include <cstddef>
#include <string_view>

namespace holdfast::kube {

/// Finds where a JSON object ends in text that arrives in pieces. Looks at strings, escapes and
/// brackets only, 64 bytes at a time; what is inside is for a parser to judge.
class JsonObjectScanner {
 public:
  /// The position behind the object's closing brace, or npos when more text is needed. The first
  /// piece begins with the opening brace; after an end the scanner is ready for the next object.
  std::size_t scan(std::string_view piece);
  [[nodiscard]] bool inside() const { return depth_ > 0; }
  void reset() { *this = {}; }

 private:
  std::size_t scan_block(const char* block, std::size_t size);

  std::size_t depth_ = 0;  ///< open brackets of either kind
  bool in_string_ = false;
  bool escaped_ = false;  ///< the next byte follows a backslash
};

}  // namespace holdfast::kube
