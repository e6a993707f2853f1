#pragma once

#include <functional>

#include "holdfast/base/result.h"

namespace holdfast::kernel {

/// Runs `work` on a new thread inside the namespace and waits for it. Fails when it cannot be
/// entered; then `work` has not run.
Result<> in_netns(int netns, const std::function<void()>& work);

}  // namespace holdfast::kernel
