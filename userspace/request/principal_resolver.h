#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "holdfast/base/event.h"
#include "holdfast/base/nursery.h"
#include "holdfast/identity/credential.h"
#include "holdfast/upstream/pool.h"
#include "request/client.h"
#include "request/own_call.h"

namespace holdfast::request {

struct Request;

/// Asks the API server who a credential is, with that credential, once for all requests that wait
/// for it (authentication.k8s.io/v1 SelfSubjectReview, GA in 1.28; v1beta1 before).
class PrincipalResolver {
 public:
  PrincipalResolver(Executor executor, identity::Registry& registry, upstream::Pool& pool,
                    Nursery& nursery);

  /// Starts asking unless the registry knows or somebody asks already.
  void start(const Request& request);
  /// The principal, impersonation included, within `limit`; empty when it could not be learned (the
  /// answer is then passed on, but not remembered).
  Task<std::optional<identity::Principal>> resolve(std::shared_ptr<Request> request,
                                                   SteadyClock::duration limit);

 private:
  struct Pending {
    explicit Pending(Executor executor) : done{executor} {}
    Event done;
    bool ended = false;
  };
  [[nodiscard]] bool asked_in_vain(const identity::CredentialHash& key);
  Task<> review(identity::Credential credential, std::shared_ptr<Client> client,
                std::shared_ptr<Pending> pending);
  struct Named {
    bool answered = false;
    std::optional<identity::Principal> principal;
  };
  Task<Named> ask(identity::Credential credential, std::shared_ptr<Client> client);
  /// GET or POST as that credential.
  Task<std::optional<OwnAnswer>> call(identity::Credential credential,
                                      std::shared_ptr<Client> client, std::string method,
                                      std::string target, std::string body);
  Task<> fetch_jwks(identity::Credential credential, std::shared_ptr<Client> client);

  Executor executor_;
  identity::Registry& registry_;
  upstream::Pool& pool_;
  Nursery& nursery_;
  std::map<identity::CredentialHash, std::shared_ptr<Pending>> pending_;
  /// Reviews that led to no principal, and until when they are not repeated at each request.
  std::map<identity::CredentialHash, SteadyClock::time_point> unnamed_;
  bool fetching_jwks_ = false;
};

}  // namespace holdfast::request
