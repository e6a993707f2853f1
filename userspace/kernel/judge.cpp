#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "holdfast/kernel/netns.h"
#include "kernel/enter_netns.h"
#include "kernel/sockaddr.h"

namespace holdfast::kernel {

namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

int milliseconds_until(SteadyTime deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

Reach reach_of(int error) {
  switch (error) {
    case 0:
      return Reach::kConnected;
    case ECONNREFUSED:
    case ECONNRESET:
      return Reach::kRefused;
    case ETIMEDOUT:
      return Reach::kTimedOut;
    default:
      return Reach::kUnreachable;
  }
}

struct Attempt {
  Fd socket;
  Reach reach = Reach::kUnreachable;
};

Attempt connect_to(const Endpoint& endpoint, std::chrono::milliseconds timeout,
                   std::uint32_t own_mark) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const auto address = to_sockaddr(endpoint);
  Attempt attempt{
      .socket = Fd{::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)}};
  if (!attempt.socket || !mark_own_traffic(attempt.socket.get(), own_mark)) return attempt;
  if (::connect(attempt.socket.get(), address.get(), address.length) == 0) {
    attempt.reach = Reach::kConnected;
    return attempt;
  }
  if (errno != EINPROGRESS) {
    attempt.reach = reach_of(errno);
    return attempt;
  }
  pollfd waiting{.fd = attempt.socket.get(), .events = POLLOUT, .revents = 0};
  int ready = 0;
  do {
    ready = ::poll(&waiting, 1, milliseconds_until(deadline));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) {
    attempt.reach = Reach::kTimedOut;
    return attempt;
  }
  int error = 0;
  socklen_t length = sizeof(error);
  ::getsockopt(attempt.socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  attempt.reach = reach_of(error);
  return attempt;
}

/// A handshake that someone else completed is as good as none.
Reach reach_listener(const JudgeOptions& options) {
  const Attempt attempt = connect_to(options.listener, options.listener_timeout, options.own_mark);
  if (attempt.reach != Reach::kConnected || !options.accepted) return attempt.reach;
  const auto deadline = std::chrono::steady_clock::now() + options.accept_timeout;
  const Endpoint client = local_endpoint(attempt.socket.get());
  while (!options.accepted(client)) {
    if (std::chrono::steady_clock::now() >= deadline) return Reach::kUnreachable;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return Reach::kConnected;
}

}  // namespace

NetnsVerdict verdict_of(Reach listener, Reach target, Reach target_from_host) {
  if (listener != Reach::kConnected) return NetnsVerdict::kIsolated;
  if (target == Reach::kConnected) return NetnsVerdict::kAdmitted;
  // Only a target that the host reaches tells a policy from a broken link.
  if (target != Reach::kNotTried && target_from_host == Reach::kConnected)
    return NetnsVerdict::kDenied;
  return NetnsVerdict::kUnknown;
}

Result<Judgement> judge(const Netns& netns, const JudgeOptions& options) {
  Judgement judgement;
  const auto reach_target = [&options] {
    return connect_to(*options.target, options.timeout, options.own_mark).reach;
  };
  auto entered = in_netns(netns.fd.get(), [&] {
    judgement.listener = reach_listener(options);
    if (judgement.listener == Reach::kConnected && options.target)
      judgement.target = reach_target();
  });
  if (!entered) return entered.error();
  if (judgement.target != Reach::kNotTried && judgement.target != Reach::kConnected) {
    judgement.target_from_host = reach_target();
    if (judgement.target_from_host == Reach::kConnected) {
      entered = in_netns(netns.fd.get(), [&] { judgement.target = reach_target(); });
      if (!entered) return entered.error();
    }
  }
  judgement.verdict = verdict_of(judgement.listener, judgement.target, judgement.target_from_host);
  return judgement;
}

}  // namespace holdfast::kernel
