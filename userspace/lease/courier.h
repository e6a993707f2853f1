#pragma once

#include "holdfast/base/task.h"
#include "request/context.h"

namespace holdfast::lease {

/// Sends, while the link is up, the renewals that were acknowledged on this thread and are due: at
/// a reconnect, and once an interval under `coalesce`. Runs until cancelled.
Task<> run_courier(request::ThreadContext& thread);

}  // namespace holdfast::lease
