#pragma once

#include <memory>

#include "holdfast/base/task.h"
#include "request/context.h"
#include "request/request.h"
#include "writes/offline_write.h"

namespace holdfast::proxy {

/// Passes a request on and its answer back, both streaming, each at its reader's pace. What a write
/// changed follows in what its principal is served from the cache. `offline` (null: nothing) is
/// what can be answered while the API server is away; it outlives the call.
Task<> forward(request::ThreadContext& thread, std::shared_ptr<request::Request> request,
               writes::OfflineWrite* offline = nullptr);

}  // namespace holdfast::proxy
