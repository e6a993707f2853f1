#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

// What a fuzz target claims about its input; a false claim ends the run.
inline void claim(bool holds) {
  if (!holds) std::abort();
}

inline std::string_view to_text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// The first byte chooses the size of the pieces in which the rest arrives.
inline std::size_t take_piece(std::string_view& text) {
  const auto size = text.empty() ? 1 : static_cast<unsigned char>(text.front()) + 1U;
  text.remove_prefix(text.empty() ? 0 : 1);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
