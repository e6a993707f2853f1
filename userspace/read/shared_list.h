#pragma once

#include <memory>

#include "holdfast/base/task.h"
#include "request/context.h"
#include "request/request.h"
#include "share/lists.h"

namespace holdfast::read {

/// A LIST that takes any state (resourceVersion "0", what informers begin with) may be answered
/// with what another client is just being answered, or with the state that a shared watch keeps,
/// once the API server says that this client may list the same (SelfSubjectAccessReview). True:
/// answered. Else the request goes upstream; `lead` is then set if others may wait for its answer.
Task<bool> serve_shared_list(request::ThreadContext& thread,
                             std::shared_ptr<request::Request> request,
                             std::unique_ptr<share::ListLead>* lead);

}  // namespace holdfast::read
