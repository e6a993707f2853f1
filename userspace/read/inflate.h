#pragma once

#include <zlib.h>

#include <functional>
#include <memory>

#include "holdfast/base/result.h"
#include "holdfast/base/slice.h"

namespace holdfast::read {

/// Unpacks a gzip body while it streams by: the client gets the API server's bytes, the cache reads
/// what is in them. Output comes in blocks of at most 64 KiB, so that a bomb costs time, not
/// memory.
class Inflater {
 public:
  static constexpr std::size_t kBlock = 64 * 1024;  ///< bytes

  Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater();

  /// Hands the unpacked blocks to `sink`. kInvalidArgument when it is not gzip.
  Result<void> feed(std::string_view packed, const std::function<void(Slice)>& sink);
  /// True when the trailer was seen: the body was whole.
  [[nodiscard]] bool finished() const { return finished_; }

 private:
  z_stream stream_{};
  bool finished_ = false;
};

}  // namespace holdfast::read
