#pragma once

#include <cstdint>

#include "holdfast/kube/object.h"
#include "holdfast/kube/request_attributes.h"

namespace holdfast::read {

/// What a read demands of an answer's age, from resourceVersion, resourceVersionMatch, limit and
/// continue (kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).
struct VersionDemand {
  enum class Kind : std::uint8_t {
    kMostRecent,    ///< "": what only the API server can promise
    kAny,           ///< "0"
    kNotOlderThan,  ///< at least `version`
    kExact,         ///< `version` itself
    kContinue,      ///< a page of a list whose tokens only the API server can read
    kInvalid,       ///< not a number
  };
  Kind kind = Kind::kMostRecent;
  kube::ResourceVersion version = 0;
};

VersionDemand version_demand(const kube::RequestAttributes& attributes);

/// Whether an answer of that age may be served while the API server is away.
enum class VersionVerdict : std::uint8_t { kServe, kTooLarge, kExpired, kRefuse };
VersionVerdict judge_version(const VersionDemand& demand, kube::ResourceVersion have,
                             bool serve_consistent_reads);

}  // namespace holdfast::read
