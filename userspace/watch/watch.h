#pragma once

#include <memory>

#include "holdfast/base/task.h"
#include "request/context.h"
#include "request/request.h"

namespace holdfast::watch {

/// Answers a WATCH (WatchList too): passes the API server's events on, remembers them, and keeps
/// the client's stream open while the link is down, to go on from the last delivered
/// resourceVersion when it is back. A watch that is opened offline begins with what this principal
/// was shown. Equal watches share one upstream stream (share/hub.h).
///
/// Tables are resumed, but neither remembered nor shared: nothing can be told of a row but what it
/// shows.
Task<> serve_watch(request::ThreadContext& thread, std::shared_ptr<request::Request> request);

}  // namespace holdfast::watch
