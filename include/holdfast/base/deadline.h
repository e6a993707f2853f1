#pragma once

#include <boost/system/error_code.hpp>
#include <memory>
#include <utility>

#include "holdfast/base/task.h"

namespace holdfast {

/// Calls `expired` once when `limit` has passed, unless destroyed before: for operations that can
/// be cancelled from outside.
class Deadline {
 public:
  template <class Expired>
  Deadline(Executor executor, SteadyClock::duration limit, Expired expired)
      : timer_{executor, limit}, alive_{std::make_shared<bool>(true)} {
    // The handler may already be queued when this object goes.
    timer_.async_wait([alive = alive_, call = std::move(expired)](boost::system::error_code ec) {
      if (!ec && *alive) call();
    });
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() { *alive_ = false; }

 private:
  Timer timer_;
  std::shared_ptr<bool> alive_;
};

}  // namespace holdfast
