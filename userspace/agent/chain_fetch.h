#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/result.h"
#include "holdfast/base/task.h"

namespace holdfast::agent {

/// The certificate chain that the server at `target` presents to a client that dials its address:
/// leaf first, DER, unverified (that is the terminator's business).
Task<Result<std::vector<std::string>>> fetch_chain(Executor executor, Endpoint target,
                                                   std::uint32_t mark,
                                                   std::chrono::milliseconds timeout);

}  // namespace holdfast::agent
