#pragma once

#include <filesystem>
#include <memory>

#include "holdfast/base/fd.h"
#include "holdfast/base/result.h"

namespace holdfast::cache {

/// One byte on disk that says: a write was lost and the store could not say so itself. Its block is
/// allocated in advance, so that setting it needs no space on a full disk.
class LossMark {
 public:
  static Result<std::unique_ptr<LossMark>> open(const std::filesystem::path& path);
  [[nodiscard]] bool is_set() const { return set_; }
  void set() { write(true); }
  void clear() { write(false); }

 private:
  LossMark(Fd fd, bool set) : fd_{std::move(fd)}, set_{set} {}
  void write(bool value);
  Fd fd_;
  bool set_;
};

}  // namespace holdfast::cache
