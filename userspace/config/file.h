#pragma once

#include <string>

#include "holdfast/base/result.h"

namespace holdfast::config {

/// The whole file. kNotFound when there is none, kTooLarge beyond 1 MiB.
Result<std::string> read_text(const std::string& path);

}  // namespace holdfast::config
