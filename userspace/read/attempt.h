#pragma once

#include <memory>
#include <optional>

#include "holdfast/base/event.h"
#include "holdfast/http/client.h"
#include "request/context.h"
#include "request/request.h"

namespace holdfast::read {

/// A request on its way upstream, while somebody decides how long to wait for it.
class Attempt {
 public:
  /// Sends the request (which has no body) with this target; runs in the thread's nursery.
  static std::shared_ptr<Attempt> start(request::ThreadContext& thread,
                                        std::shared_ptr<request::Request> request,
                                        http::RequestHead head);

  explicit Attempt(Executor executor) : changed{executor} {}

  Event changed;  ///< notified when `head` is there
  std::optional<Result<http::ResponseHead>> head;
  std::unique_ptr<http::ClientStream> stream;  ///< set when `head` has a value

  /// Waits for the head for `patience`; true when it is there, or the server gave another sign of
  /// life meanwhile (it is asked for one halfway): then it is slow, not away. `attempt` is kept.
  static Task<bool> wait(std::shared_ptr<Attempt> attempt, SteadyClock::duration patience);

  /// Nobody waits any more: ends it wherever it is.
  void abandon();
  [[nodiscard]] bool abandoned() const { return abandoned_; }

 private:
  static Task<> run(request::ThreadContext& thread, std::shared_ptr<request::Request> request,
                    http::RequestHead head, std::shared_ptr<Attempt> attempt);
  bool abandoned_ = false;
};

/// Abandons an attempt when the one who waits for it is cancelled or done.
class AttemptGuard {
 public:
  explicit AttemptGuard(std::shared_ptr<Attempt> attempt) : attempt_{std::move(attempt)} {}
  /// Another one waits for it now.
  void release() { attempt_.reset(); }
  AttemptGuard(const AttemptGuard&) = delete;
  AttemptGuard& operator=(const AttemptGuard&) = delete;
  ~AttemptGuard() {
    if (attempt_) attempt_->abandon();
  }

 private:
  std::shared_ptr<Attempt> attempt_;
};

}  // namespace holdfast::read
