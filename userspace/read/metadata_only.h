#pragma once

#include <vector>

#include "holdfast/cache/store.h"

namespace holdfast::read {

/// As Store::list. Where a PartialObjectMetadata in JSON is accepted and none was shown, it is made
/// of whole objects that were: who may list the one may list the other (the API server knows one
/// verb and resource for both).
cache::ListAnswer find_list(cache::Store& store, const cache::Query& query,
                            const std::vector<kube::Representation>& accept,
                            kube::ResourceVersion at_least);
/// As Store::get, likewise.
cache::ObjectAnswer find_object(cache::Store& store, const cache::Query& query,
                                const std::vector<kube::Representation>& accept);

}  // namespace holdfast::read
