#pragma once

#include <memory>

#include "holdfast/base/clock.h"
#include "holdfast/base/event.h"
#include "holdfast/base/nursery.h"
#include "holdfast/cache/store.h"
#include "holdfast/config/config.h"
#include "holdfast/identity/credential.h"
#include "holdfast/identity/process.h"
#include "holdfast/telemetry/broadcast.h"
#include "holdfast/telemetry/metrics.h"
#include "holdfast/upstream/link_monitor.h"
#include "holdfast/upstream/pool.h"
#include "request/access_reviews.h"
#include "request/principal_resolver.h"

namespace holdfast::lease {
class Book;
}
namespace holdfast::share {
struct Shared;
}
namespace holdfast::writes {
struct Shared;
}

namespace holdfast::request {

class Denials;

/// What all threads share; each member is thread-safe and outlives them.
struct Services {
  cache::Store& store;
  identity::Registry& identities;
  identity::PodDirectory& pods;
  upstream::LinkMonitor& link;
  telemetry::Metrics& metrics;
  telemetry::Broadcast& trace;
  const Clock& clock;
  lease::Book& leases;
  writes::Shared& writes;
  share::Shared& shared;
  Denials& denials;
};

/// What one I/O thread has of its own. Everything a request does happens on one of these.
struct ThreadContext {
  Executor executor;
  Services& services;
  upstream::Pool& pool;
  Nursery& nursery;  ///< for what outlives a request: attempts, reviews
  PrincipalResolver& principals;
  AccessReviews& reviews;
  Event& link_changed;                           ///< notified at each transition of the link
  std::shared_ptr<const config::Config> config;  ///< replaced on this thread at a reload
};

}  // namespace holdfast::request
