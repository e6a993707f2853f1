#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/result.h"
#include "holdfast/base/task.h"
#include "holdfast/tls/stream.h"

namespace holdfast::agent {

/// A TLS connection that trusts whoever answers: to look at a certificate, or at ourselves.
/// Never for a request that carries a credential.
Task<Result<std::shared_ptr<tls::Stream>>> connect_unverified(Executor executor, Endpoint to,
                                                              std::uint32_t mark,
                                                              std::chrono::milliseconds timeout);

}  // namespace holdfast::agent
