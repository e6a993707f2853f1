#include "holdfast/kernel/own_traffic.h"

#include <sys/socket.h>

namespace holdfast::kernel {

Result<> mark_own_traffic(int socket, std::uint32_t mark) {
  if (::setsockopt(socket, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0)
    return Error::from_errno("cannot mark a socket as the agent's own (CAP_NET_ADMIN?)");
  return {};
}

}  // namespace holdfast::kernel
