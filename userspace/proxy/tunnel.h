#pragma once

#include <memory>

#include "holdfast/base/task.h"
#include "request/context.h"
#include "request/request.h"

namespace holdfast::proxy {

/// Carries an Upgrade (exec, attach, port-forward; SPDY and WebSocket) over an HTTP/1.1 connection
/// of its own, both ways until both ended.
Task<> serve_tunnel(request::ThreadContext& thread, std::shared_ptr<request::Request> request);

}  // namespace holdfast::proxy
