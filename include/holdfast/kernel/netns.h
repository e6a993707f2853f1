#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/fd.h"
#include "holdfast/base/result.h"
#include "holdfast/kernel/own_traffic.h"
#include "holdfast/kernel/types.h"

namespace holdfast::kernel {

/// A network namespace, kept open so that it can be judged again when its first process is gone.
/// Holding it keeps the namespace alive: drop it with its pod.
struct Netns {
  Fd fd;
  NetnsCookie cookie{};
};

/// The namespace of process `pid`, if its cookie is `expected`; kNotFound when the process is gone
/// or has another one (a pid is reused). On kernels before 5.14 the cookie cannot be read back and
/// `expected` is taken for granted.
Result<Netns> open_netns(pid_t pid, NetnsCookie expected);

/// The inode of the network namespace of process `pid`: its number in "net:[4026531840]". 0 when
/// the process is gone.
std::uint64_t netns_inode(pid_t pid);

/// The namespace with that inode, whoever lives in it now: by its name under /run/netns, as
/// container runtimes keep them, else by any process that is in it. kNotFound when there is none,
/// or when its cookie is not `expected` (an inode is reused; see open_netns for kernels
/// before 5.14). Looks through /proc: some milliseconds.
Result<Netns> find_netns(std::uint64_t inode, NetnsCookie expected);

/// The cookie of the calling thread's namespace; kUnsupported before 5.14.
Result<NetnsCookie> current_netns_cookie();

/// How one TCP handshake ended.
enum class Reach : std::uint8_t { kConnected, kRefused, kUnreachable, kTimedOut, kNotTried };

struct JudgeOptions {
  Endpoint listener;  ///< of the family that this namespace is redirected to
  /// The original target; nothing while offline, when only the listener is tried.
  std::optional<Endpoint> target;
  std::chrono::milliseconds timeout{1000};  ///< for the target, from there and then from here
  /// For the handshake with the listener, which the kernel of this node answers by itself. Shorter
  /// than what a black hole costs a redirected client (0.7 s), so that the second connection of a
  /// namespace that cannot reach the listener is direct.
  std::chrono::milliseconds listener_timeout{300};
  /// For our own accept of that handshake, on a node that may be busy.
  std::chrono::milliseconds accept_timeout{1000};
  std::uint32_t own_mark = kOwnMark;
  /// Whether the agent accepted a connection from this address, as `judge` made it. With it, a
  /// listener that someone else pretends to be (a sidecar) does not count as reached. Asked again
  /// and again until `accept_timeout`, on judge's own thread. Empty: not asked.
  std::function<bool(const Endpoint& client)> accepted;
};

/// What was found out. `verdict` is kUnknown when it could not be: offline, or the target does not
/// answer the host either, which says nothing about a policy. Then the last verdict holds.
struct Judgement {
  NetnsVerdict verdict = NetnsVerdict::kUnknown;
  Reach listener = Reach::kNotTried;
  Reach target = Reach::kNotTried;
  Reach target_from_host = Reach::kNotTried;
};

/// Enters `netns` on a thread of its own, connects to the listener and to the target from there,
/// and so lets the CNI's policy decide; a target that only the host reached is tried twice, since
/// one SYN may get lost. Blocks until its time-outs: not for an I/O thread. Fails only when the
/// namespace cannot be entered.
Result<Judgement> judge(const Netns& netns, const JudgeOptions& options);

/// The verdict that follows from three handshakes.
NetnsVerdict verdict_of(Reach listener, Reach target, Reach target_from_host);

}  // namespace holdfast::kernel
