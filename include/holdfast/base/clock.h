#pragma once

#include <chrono>

namespace holdfast {

/// The seam for time: tests move it by hand, nothing sleeps to wait.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual std::chrono::steady_clock::time_point now() const = 0;
  /// Wall-clock time, for what people read and for token lifetimes.
  [[nodiscard]] virtual std::chrono::system_clock::time_point wall() const = 0;
};

/// The machine's clocks; lives as long as the process.
const Clock& system_clock();

}  // namespace holdfast
