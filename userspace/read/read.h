#pragma once

#include <memory>

#include "holdfast/base/task.h"
#include "request/context.h"
#include "request/request.h"

namespace holdfast::read {

/// Answers a cacheable GET or LIST: from the API server, remembering what it says; from the cache
/// when it can't be reached, or says nothing within `cache.patience` and the cache knows.
Task<> serve_read(request::ThreadContext& thread, std::shared_ptr<request::Request> request);

/// The time an API server may take before a read is answered from the cache.
SteadyClock::duration patience(const request::ThreadContext& thread);

}  // namespace holdfast::read
