#pragma once

#include "holdfast/base/task.h"

namespace holdfast {

/// `work` for co_spawn with a cancellation slot. Asio's own entry point
/// (boost/asio/impl/co_spawn.hpp, 1.81) awaits once more when the work ended before its first
/// suspension: where that was cancelled meanwhile, it would throw out of io_context::run and end
/// the process.
Task<> as_child(Task<> work);

}  // namespace holdfast
