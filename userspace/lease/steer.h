#pragma once

#include <memory>

#include "holdfast/base/task.h"
#include "request/context.h"
#include "request/request.h"

namespace holdfast::lease {

/// True for a request on one Lease: get, create, update, patch or delete. Lists and watches show
/// what the API server has.
bool concerns_one_lease(const kube::RequestAttributes& attributes);

/// Answers such a request as lease.policy says.
Task<> serve_lease(request::ThreadContext& thread, std::shared_ptr<request::Request> request);

}  // namespace holdfast::lease
