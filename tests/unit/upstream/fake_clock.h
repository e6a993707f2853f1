#pragma once

#include <chrono>

#include "holdfast/base/clock.h"

namespace holdfast::upstream {

class FakeClock final : public Clock {
 public:
  std::chrono::steady_clock::time_point now() const override { return steady_; }
  std::chrono::system_clock::time_point wall() const override { return wall_; }
  void advance(std::chrono::milliseconds by) {
    steady_ += by;
    wall_ += by;
  }

 private:
  std::chrono::steady_clock::time_point steady_{std::chrono::hours{1}};
  std::chrono::system_clock::time_point wall_{std::chrono::seconds{1'800'000'000}};
};

}  // namespace holdfast::upstream
