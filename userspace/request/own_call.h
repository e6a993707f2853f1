#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/base/task.h"
#include "holdfast/identity/credential.h"
#include "holdfast/upstream/pool.h"
#include "request/client.h"

namespace holdfast::request {

/// A small request of the agent's own, made with a client's credential: reviews, the JWKS.
struct OwnCall {
  identity::Credential credential;
  std::shared_ptr<Client> client;
  std::string method, target;
  std::string body;  ///< JSON; empty: none
  std::string accept = "application/json";
  std::vector<std::pair<std::string, std::string>> headers{};  ///< beside these (Impersonate-…)
};
struct OwnAnswer {
  unsigned status = 0;
  std::string body;
};

/// Empty when there was no whole answer within five seconds, or one of over 1 MiB.
Task<std::optional<OwnAnswer>> make_own_call(Executor executor, upstream::Pool& pool, OwnCall call);

}  // namespace holdfast::request
