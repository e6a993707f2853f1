#pragma once

#include <memory>

#include "lease/book.h"
#include "lease/call.h"
#include "request/context.h"

namespace holdfast::lease {

/// Waits for the answer to a renewal that was sent, as long as its connection takes to bring it or
/// to break, and tells the book. Nothing else is sent of this Lease meanwhile: a PUT that was given
/// up may still be carried out when the link is back, and the next one would then meet a conflict.
Task<> await_outcome(request::ThreadContext& thread, std::shared_ptr<Call> call, Delivery delivery,
                     identity::Credential credential);

}  // namespace holdfast::lease
