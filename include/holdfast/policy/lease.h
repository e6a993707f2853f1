#pragma once

#include <string_view>

#include "holdfast/config/config.h"

namespace holdfast::policy {

/// A Lease, and who asks for it. Empty: unknown.
struct LeaseContext {
  std::string_view ns, name;
  std::string_view holder;      ///< spec.holderIdentity
  std::string_view executable;  ///< path
  std::string_view pod;
};

/// The policy of the first rule that matches, else lease.policy. `auto` is resolved: a node's Lease
/// is held, all others are forwarded: an election's Lease must run out for a leader that is cut
/// off, so that it stops leading. Never kAuto.
config::LeasePolicy lease_policy(const LeaseContext& lease, const config::Lease& config);

}  // namespace holdfast::policy
