#pragma once

#include <cstdint>

#include "holdfast/base/result.h"

namespace holdfast::kernel {

/// The SO_MARK of sockets that the agent opens itself, so that they are never redirected to it. It
/// stays clear of the bits that others give a meaning: kube-proxy 0x4000 and 0x8000, Cilium
/// 0x0f00, Calico the upper half, AWS 0x80.
inline constexpr std::uint32_t kOwnMark = 0x5d;

/// Marks a socket before it connects. Needs CAP_NET_ADMIN in the socket's network namespace.
Result<> mark_own_traffic(int socket, std::uint32_t mark = kOwnMark);

}  // namespace holdfast::kernel
