#pragma once

#include <string>

#include "agent/health.h"
#include "holdfast/base/endpoint.h"
#include "holdfast/base/task.h"

namespace holdfast::agent {

/// Once a second: connects to our own listener as a client would, TCP and TLS, and asks for
/// `path`, which is answered locally. Runs until cancelled.
Task<> run_self_test(Executor executor, Endpoint listener, std::string path, Health& health,
                     std::uint32_t mark);

}  // namespace holdfast::agent
