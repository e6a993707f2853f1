#pragma once

#include "holdfast/base/task.h"
#include "request/context.h"
#include "writes/event_queue.h"

namespace holdfast::writes {

/// Sends what is kept for one owner once the link is up, in order, each under the credential that
/// it came with; ends when nothing is left, or drops the rest when the owner is gone or refused.
Task<> send_when_back(request::ThreadContext& thread, EventQueue& queue, EventQueue::Owner owner);

}  // namespace holdfast::writes
