#pragma once

#include "holdfast/base/endpoint.h"
#include "holdfast/base/result.h"

namespace holdfast::kernel {

/// Adds or removes a full-length address on `lo` (RTM_NEWADDR, RTM_DELADDR). Adding one that is
/// there fails with errc::file_exists, removing one that is not with errc::address_not_available.
/// What is added carries a mark, by which a later process knows it.
Result<> add_loopback_address(const Endpoint& address);
Result<> remove_loopback_address(const Endpoint& address);

/// Whether the address is there and carries that mark.
Result<bool> is_marked_loopback_address(const Endpoint& address);

}  // namespace holdfast::kernel
