#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "holdfast/base/slice.h"

namespace holdfast::http {

/// Bytes in the order they came. Not a std::deque: that one allocates before the first element,
/// and every stream has two queues of which most stay empty.
class SliceQueue {
 public:
  void push(Slice slice) {
    if (slice.empty()) return;
    bytes_ += slice.size();
    items_.push_back(std::move(slice));
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] bool empty() const { return bytes_ == 0; }
  [[nodiscard]] Slice pop() {
    Slice slice = std::move(items_[head_]);
    if (offset_ > 0) slice = slice.sub(offset_);
    bytes_ -= slice.size();
    next();
    return slice;
  }
  /// Moves the first `count` bytes, which must be there, to `to`.
  void copy_out(char* to, std::size_t count) {
    bytes_ -= count;
    while (count > 0) {
      const Slice& front = items_[head_];
      const std::size_t part = std::min(count, front.size() - offset_);
      std::memcpy(to, front.data() + offset_, part);
      to += part;
      count -= part;
      offset_ += part;
      if (offset_ == front.size()) next();
    }
  }
  void clear() {
    items_.clear();
    head_ = offset_ = bytes_ = 0;
  }

 private:
  void next() {
    offset_ = 0;
    items_[head_++] = Slice{};
    if (head_ == items_.size()) {
      items_.clear();
      head_ = 0;
    } else if (head_ >= 64) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
  }

  std::vector<Slice> items_;
  std::size_t head_ = 0;    // the first item still held
  std::size_t offset_ = 0;  // what is gone of it
  std::size_t bytes_ = 0;
};

}  // namespace holdfast::http
