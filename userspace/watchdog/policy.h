#pragma once

#include <chrono>
#include <cstdint>

#include "holdfast/watchdog/watchdog.h"

namespace holdfast::watchdog {

using Milliseconds = std::chrono::milliseconds;

/// Judges silence by the parent's own steps. A parent that was itself held up (a suspended machine,
/// a frozen cgroup) takes a long step; only a short part of it counts, so that a worker that was
/// held up with it has time to speak.
class SilenceJudge {
 public:
  /// The longest part of one step that counts as watched.
  static constexpr Milliseconds kLongestStep{250};

  explicit SilenceJudge(const Options& options) : options_{options} {}
  /// `beats` is the worker's count so far, `step` the time since the last call. True: kill it.
  bool is_silent(std::uint64_t beats, Milliseconds step);

 private:
  Options options_;
  std::uint64_t last_beats_ = 0;
  Milliseconds silence_{0};
};

/// How long to wait before each restart.
class Backoff {
 public:
  explicit Backoff(const Options& options) : options_{options}, next_{options.first_backoff} {}
  /// The pause before the next start, after a worker that lived for `lifetime`.
  Milliseconds after(Milliseconds lifetime);

 private:
  Options options_;
  Milliseconds next_;
};

}  // namespace holdfast::watchdog
