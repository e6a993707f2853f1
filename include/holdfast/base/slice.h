#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace holdfast {

/// An immutable run of bytes that shares its owner: copying costs a reference count, so the
/// client's stream and the cache's tee hold the same bytes. Safe to hand to another thread.
class Slice {
 public:
  Slice() = default;
  Slice(std::shared_ptr<const void> owner, const char* data, std::size_t size)
      : owner_{std::move(owner)}, data_{data}, size_{size} {}

  static Slice copy(std::string_view bytes) {
    std::shared_ptr<char[]> block{new char[bytes.size()]};
    std::memcpy(block.get(), bytes.data(), bytes.size());
    const char* data = block.get();
    return Slice{std::move(block), data, bytes.size()};
  }
  static Slice own(std::string bytes) {
    auto owner = std::make_shared<const std::string>(std::move(bytes));
    const char* data = owner->data();
    const std::size_t size = owner->size();
    return Slice{std::move(owner), data, size};
  }

  [[nodiscard]] std::string_view view() const { return {data_, size_}; }
  [[nodiscard]] const char* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  /// The part from `offset` (clamped) of at most `count` bytes.
  [[nodiscard]] Slice sub(std::size_t offset, std::size_t count = std::string_view::npos) const {
    const auto part = view().substr(std::min(offset, size_), count);
    return Slice{owner_, part.data(), part.size()};
  }

 private:
  std::shared_ptr<const void> owner_;
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace holdfast
