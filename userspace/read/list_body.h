#pragma once

#include <memory>

#include "holdfast/base/task.h"
#include "holdfast/cache/store.h"
#include "request/context.h"
#include "request/request.h"

namespace holdfast::read {

/// Writes a list's body, after its head, as the client takes it: memory is bounded by one batch. A
/// record that turns out to be corrupt aborts the response, so that no client takes a part for all.
Task<> write_list(request::ThreadContext& thread, std::shared_ptr<request::Request> request,
                  std::unique_ptr<cache::ListSnapshot> snapshot);

}  // namespace holdfast::read
