#pragma once

#include <memory>

#include "holdfast/base/task.h"
#include "holdfast/http/exchange.h"
#include "request/context.h"

namespace holdfast::proxy {

/// Answers one exchange: understands the request, has the policy decide, hands it to the step that
/// does it, and keeps the account (metrics, trace).
Task<> dispatch(request::ThreadContext& thread, std::shared_ptr<http::Exchange> exchange);

}  // namespace holdfast::proxy
