#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <vector>

namespace holdfast::agent {

/// What the control thread found out last, for those who look from the admin thread. Thread-safe.
class ServingState {
 public:
  struct View {
    std::vector<std::string> problems;  ///< why the heart does not beat; empty: it does
    std::chrono::steady_clock::time_point last_beat{};
    std::vector<std::string> targets;
    std::string certificate;  ///< how the requested one is doing; empty: none is requested
    std::string config_error;
    std::string cache_problem;  ///< why the cache is in memory only; empty: it is on disk
    std::vector<std::string> restart_needed;
    std::chrono::system_clock::time_point link_since{};
  };

  [[nodiscard]] View view() const {
    const std::scoped_lock lock{mutex_};
    return view_;
  }
  template <class Change>
  void update(Change change) {
    const std::scoped_lock lock{mutex_};
    change(view_);
  }

 private:
  mutable std::mutex mutex_;
  View view_;
};

}  // namespace holdfast::agent
