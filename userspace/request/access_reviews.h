#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "holdfast/base/event.h"
#include "holdfast/base/nursery.h"
#include "holdfast/identity/credential.h"
#include "holdfast/kube/request_attributes.h"
#include "holdfast/upstream/pool.h"

namespace holdfast::request {

struct Request;

enum class Access : std::uint8_t {
  kAllowed,
  kDenied,
  kUnknown,  ///< the API server could not be asked, or did not say
};

/// Whether a client might see what another one was answered: a SelfSubjectAccessReview
/// (authorization.k8s.io/v1) with the client's own credential, selectors and impersonation in it.
/// A verdict holds for a credential and a question: another one of the same principal may have
/// expired or been revoked. One review is under way for all who wait.
class AccessReviews {
 public:
  AccessReviews(Executor executor, const identity::Registry& registry, upstream::Pool& pool,
                Nursery& nursery)
      : executor_{executor}, registry_{registry}, pool_{pool}, nursery_{nursery} {}

  /// `verb`: what it would be allowed to do with the resource that the request is for. A verdict
  /// that is older than `ttl` is asked for again.
  struct Reviewed {
    Access access = Access::kUnknown;
    SteadyClock::time_point at{};  ///< when it was asked for
  };
  Task<Reviewed> review(std::shared_ptr<Request> request, kube::Verb verb,
                        SteadyClock::duration ttl);

 private:
  struct Verdict {
    explicit Verdict(Executor executor) : done{executor} {}
    Event done;
    bool pending = true;
    Access access = Access::kUnknown;
    SteadyClock::time_point at{};  ///< when it was asked for
  };
  static constexpr std::size_t kMaxVerdicts = 4096;

  Task<> ask(std::shared_ptr<Request> request, std::string body, std::shared_ptr<Verdict> verdict);
  void make_room();

  Executor executor_;
  const identity::Registry& registry_;
  upstream::Pool& pool_;
  Nursery& nursery_;
  std::map<std::string, std::shared_ptr<Verdict>>
      verdicts_;  ///< by credential, impersonation and question
};

}  // namespace holdfast::request
