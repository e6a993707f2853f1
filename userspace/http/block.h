#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

#include "holdfast/base/slice.h"

namespace holdfast::http {

/// A fixed piece of memory that bytes are received into or gathered in before they are sent: four
/// full TLS records, also with their overhead. Blocks are pooled per thread, and an idle connection
/// holds none.
class Block {
 public:
  /// What a batch carries.
  static constexpr std::size_t kPayload = 64 * 1024;
  /// With room for the overhead of TLS records.
  static constexpr std::size_t kCapacity = kPayload + 1024;

  static Block take();

  [[nodiscard]] char* tail() { return storage_->bytes + size_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t room() const { return kCapacity - size_; }
  /// `count` bytes were put at `tail`.
  void commit(std::size_t count) { size_ += count; }
  void append(const void* bytes, std::size_t count) {
    std::memcpy(tail(), bytes, count);
    size_ += count;
  }
  /// Gives the bytes away.
  [[nodiscard]] Slice slice() && {
    const char* data = storage_->bytes;
    return Slice{std::move(storage_), data, size_};
  }

 private:
  struct Storage {
    // Left uninitialised on purpose.
    Storage() {}  // NOLINT(modernize-use-equals-default)
    char bytes[kCapacity];
  };
  explicit Block(std::shared_ptr<Storage> storage) : storage_{std::move(storage)} {}

  std::shared_ptr<Storage> storage_;
  std::size_t size_ = 0;
};

/// `part` of what was read as `whole`, to be kept for as long as a reader likes: shares the block
/// when the part is a good deal of it, copies otherwise, so that a few bytes do not pin a block.
Slice keep(const Slice& whole, std::string_view part);

}  // namespace holdfast::http
