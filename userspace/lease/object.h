#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/kube/object.h"

namespace holdfast::lease {

using RenewTime = std::chrono::system_clock::time_point;  ///< whole microseconds

/// A Lease (coordination.k8s.io/v1), as far as steering looks into it.
struct LeaseObject {
  std::string uid;
  kube::ResourceVersion resource_version = 0;  ///< 0: none
  std::string holder;                          ///< spec.holderIdentity
  std::chrono::seconds duration{0};            ///< spec.leaseDurationSeconds; 0: not said
  std::optional<RenewTime> renewed;            ///< spec.renewTime
  /// All else but managedFields (which follow from the writes), in a form that two objects of one
  /// encoding can be compared by. Empty values are left out: an older client encodes fields that a
  /// newer server does not have.
  std::string rest;
};

/// Reads a Lease as a GET answers it and a PUT carries it. kInvalidArgument for anything else.
Result<LeaseObject> parse_lease(kube::Encoding encoding, std::string_view bytes);

/// The same Lease with another resourceVersion or renewTime; all else stays as it is.
/// kInvalidArgument when it can't be parsed.
Result<std::string> with_resource_version(kube::Encoding encoding, std::string_view bytes,
                                          kube::ResourceVersion version);
Result<std::string> with_renew_time(kube::Encoding encoding, std::string_view bytes,
                                    RenewTime renewed);

}  // namespace holdfast::lease
