#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast {

/// Replaces `path` in one step, mode 0600, durable when this returns: after a crash there is the
/// old content or the new one.
Result<void> write_private_file(const std::string& path, std::string_view content);

/// What such a file holds. kNotFound: there is none. kRefused: others may read it, it is not this
/// user's own, or no plain file. kTooLarge: it has more than `limit` bytes.
Result<std::string> read_private_file(const std::string& path, std::size_t limit);

}  // namespace holdfast
