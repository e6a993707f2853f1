#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "holdfast/base/endpoint.h"
#include "holdfast/kernel/circuit.h"
#include "holdfast/kernel/netns.h"
#include "holdfast/kernel/types.h"

namespace holdfast::agent {

/// What is known of this node's network namespaces, and which of them is to be judged next. Pure:
/// time comes in as an argument. One thread.
class Namespaces {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;
  using Cookie = kernel::NetnsCookie;

  static constexpr std::size_t kMost = 16384;
  static constexpr std::size_t kMostAddresses = 16;  ///< of one namespace
  static constexpr std::chrono::seconds kRepeat{60};
  /// One that can't reach the listener may have been judged while the node was merely overloaded.
  static constexpr std::chrono::seconds kRepeatIsolated{10};
  static constexpr std::chrono::minutes kRepeatIsolatedMost{5};
  static constexpr std::chrono::seconds kRetry{1};  ///< while there is no verdict
  /// So long after it was seen there is still somebody who waits for one.
  static constexpr std::chrono::seconds kWanted{10};
  static constexpr std::chrono::seconds kConfirm{1};  ///< between an admission's two denials
  static constexpr std::chrono::minutes kForget{10};  ///< after it was last seen, if it is gone
  /// Rounds of repeats are spread over this many ticks.
  static constexpr std::size_t kSpread = 30;

  /// `alive`: whether a process still exists.
  explicit Namespaces(std::function<bool(pid_t)> alive) : alive_{std::move(alive)} {}

  /// What it takes to find a namespace again.
  struct Place {
    pid_t pid = 0;            ///< the last process seen there
    std::uint64_t inode = 0;  ///< the namespace's own; 0: the process was gone too soon
    Endpoint original;        ///< where that process wanted to connect to
  };
  /// A process of that namespace connects. Asks for a verdict if there is none, once a second at
  /// most. False when there are too many namespaces already.
  bool saw(Cookie cookie, const Place& place, Time now);
  /// A connection of that namespace came from there.
  void locate(Cookie cookie, const Endpoint& address);
  [[nodiscard]] bool has_inode(Cookie cookie) const;

  [[nodiscard]] kernel::NetnsVerdict verdict(Cookie cookie) const;
  /// Judged at least once, with whatever result, and not being judged again now.
  [[nodiscard]] bool settled(Cookie cookie) const;

  /// Whose an address is, for a connection of which only that is known.
  enum class Standing : std::uint8_t {
    kAdmitted,
    kRefused,
    kUnjudged,  ///< perhaps nobody was seen there yet
  };
  [[nodiscard]] Standing behind(const Endpoint& address) const;

  /// An open circuit that is due for a probe, which the next judgement is. False: nobody knows that
  /// namespace.
  bool probe(const kernel::CircuitKey& key, Time now);
  /// Once a second: decides which namespaces are to be judged again.
  void tick(Time now, bool online);

  struct Job {
    Cookie cookie{};
    Place place;
    bool isolated = false;  ///< by the last judgement
  };
  /// The most urgent one that is due: first those without a verdict, then circuits, then repeats.
  /// It is handed out once, until `settle`.
  std::optional<Job> next(Time now);
  /// When `next` will have something; nothing: not before something happens.
  [[nodiscard]] std::optional<Time> next_due() const;

  struct Outcome {
    kernel::NetnsVerdict verdict{};
    bool changed = false;
    bool forgotten = false;
    pid_t pid = 0;
    std::vector<kernel::CircuitKey> circuits;  ///< that this judgement was a probe for
  };
  /// How the job ended; nothing: the namespace could not be entered.
  Outcome settle(Cookie cookie, const std::optional<kernel::Judgement>& judgement, Time now);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  using Address = std::array<std::uint8_t, 16>;
  struct Entry {
    Place place;
    std::set<Address> addresses;
    /// The last verdict of the CNI's policy, kept while the listener can't be reached: it is in
    /// force again when that can, also offline.
    kernel::NetnsVerdict policy = kernel::NetnsVerdict::kUnknown;
    bool isolated = false;
    bool denied_once = false;  ///< admitted, but the last judgement said no
    bool entered = false;      ///< judged at least once
    bool judging = false;
    Duration isolated_pause = kRepeatIsolated;
    Time seen{};
    Time tried{};  ///< the last judgement, also one that could not enter
    std::optional<Time> due;
    std::set<kernel::CircuitKey> circuits;
  };

  static kernel::NetnsVerdict verdict_of(const Entry& entry);
  static int rank(const Entry& entry);
  static void ask(Entry& entry, Time at);
  static void take(Entry& entry, const kernel::Judgement& judgement, Time now);
  [[nodiscard]] bool overdue(const Entry& entry, Time now, bool online) const;

  const std::function<bool(pid_t)> alive_;
  std::map<Cookie, Entry> entries_;
};

}  // namespace holdfast::agent
