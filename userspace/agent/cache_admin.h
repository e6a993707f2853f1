#pragma once

#include "holdfast/admin/server.h"
#include "holdfast/cache/store.h"

namespace holdfast::agent {

/// Answers `holdfast cache`: what is in the store, by the names of those who were shown it.
admin::Reply answer_cache(const admin::CacheQuery& query, cache::Store& store,
                          const identity::Registry& identities, const Clock& clock);

}  // namespace holdfast::agent
