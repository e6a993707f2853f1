#include "kube/json_scan.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace holdfast::kube {
namespace {

constexpr std::size_t kBlock = 64;
constexpr std::size_t kNone = std::string_view::npos;

/// One bit per byte of a block, for each kind of byte that matters.
struct Masks {
  std::uint64_t quote = 0, backslash = 0, open = 0, close = 0;
};

#ifdef __SSE2__
Masks classify(const char* block) {
  Masks out;
  for (unsigned i = 0; i < kBlock; i += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + i));
    // '[' and '{', ']' and '}' differ in one bit only.
    const __m128i folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    const auto equal = [i](__m128i value, char c) {
      const auto bits = _mm_movemask_epi8(_mm_cmpeq_epi8(value, _mm_set1_epi8(c)));
      return static_cast<std::uint64_t>(static_cast<std::uint32_t>(bits)) << i;
    };
    out.quote |= equal(bytes, '"');
    out.backslash |= equal(bytes, '\\');
    out.open |= equal(folded, '{');
    out.close |= equal(folded, '}');
  }
  return out;
}
#else
Masks classify(const char* block) {
  Masks out;
  for (unsigned i = 0; i < kBlock; ++i) {
    const std::uint64_t bit = std::uint64_t{1} << i;
    const char c = block[i];
    const char folded = static_cast<char>(c | 0x20);
    out.quote |= c == '"' ? bit : 0;
    out.backslash |= c == '\\' ? bit : 0;
    out.open |= folded == '{' ? bit : 0;
    out.close |= folded == '}' ? bit : 0;
  }
  return out;
}
#endif

/// Bit i of the result: whether an odd number of bits up to and including i is set.
std::uint64_t prefix_xor(std::uint64_t bits) {
  for (unsigned shift = 1; shift < 64; shift *= 2) bits ^= bits << shift;
  return bits;
}

}  // namespace

std::size_t JsonObjectScanner::scan_block(const char* block, std::size_t size) {
  const Masks masks = classify(block);
  std::uint64_t escaped = escaped_ ? 1 : 0;
  escaped_ = false;
  for (std::uint64_t rest = masks.backslash; rest != 0; rest &= rest - 1) {
    const auto at = static_cast<unsigned>(std::countr_zero(rest));
    if ((escaped >> at & 1) != 0) continue;
    if (at + 1 == size)
      escaped_ = true;
    else
      escaped |= std::uint64_t{1} << (at + 1);
  }
  const std::uint64_t inside =
      prefix_xor(masks.quote & ~escaped) ^ (in_string_ ? ~std::uint64_t{0} : 0);
  const std::uint64_t open = masks.open & ~inside;
  const std::uint64_t close = masks.close & ~inside;
  in_string_ = inside >> 63 != 0;

  const auto closes = static_cast<std::size_t>(std::popcount(close));
  if (closes < depth_) {  // this block can't end the object, whatever its order
    depth_ = depth_ + static_cast<std::size_t>(std::popcount(open)) - closes;
    return kNone;
  }
  for (std::uint64_t rest = open | close; rest != 0; rest &= rest - 1) {
    const std::uint64_t bit = rest & -rest;
    if ((open & bit) != 0) {
      ++depth_;
    } else if (depth_ <= 1) {
      reset();
      return static_cast<std::size_t>(std::countr_zero(rest)) + 1;
    } else {
      --depth_;
    }
  }
  return kNone;
}

std::size_t JsonObjectScanner::scan(std::string_view piece) {
  std::size_t at = 0;
  for (; piece.size() - at >= kBlock; at += kBlock)
    if (const auto end = scan_block(piece.data() + at, kBlock); end != kNone) return at + end;
  if (at == piece.size()) return kNone;
  std::array<char, kBlock> last;
  last.fill(' ');
  std::memcpy(last.data(), piece.data() + at, piece.size() - at);
  const auto end = scan_block(last.data(), piece.size() - at);
  return end == kNone ? kNone : at + end;
}

}  // namespace holdfast::kube
