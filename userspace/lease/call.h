#pragma once

#include <memory>
#include <optional>
#include <string>

#include "holdfast/base/event.h"
#include "holdfast/http/message.h"
#include "holdfast/upstream/pool.h"
#include "request/context.h"

namespace holdfast::lease {

/// A request to the API server and its answer, both small and taken whole, while somebody decides
/// how long to wait for it.
class Call {
 public:
  struct Answer {
    http::ResponseHead head;
    std::string body;
  };

  /// Runs in the thread's nursery. `body` empty: none.
  static std::shared_ptr<Call> start(request::ThreadContext& thread, upstream::Identity identity,
                                     upstream::StickyServer sticky, http::RequestHead head,
                                     std::string body);
  explicit Call(Executor executor) : changed{executor} {}

  Event changed;  ///< notified when `outcome` is there
  std::optional<Result<Answer>> outcome;
  bool sent = false;              ///< the API server may have got it
  upstream::StickyServer sticky;  ///< the server that was asked
  void abandon();                 ///< nobody waits any more
  /// Nothing has come from the server over this request's connection since `time`.
  [[nodiscard]] bool silent_since(SteadyClock::time_point time) const;
  /// Ends the connection that it went over, so that it can't arrive late.
  void close_connection();

 private:
  static Task<> run(request::ThreadContext& thread, upstream::Identity identity,
                    http::RequestHead head, std::string body, std::shared_ptr<Call> call);
  static Task<Result<Answer>> exchange(request::ThreadContext& thread, upstream::Identity identity,
                                       http::RequestHead head, std::string body,
                                       std::shared_ptr<Call> call);
  bool abandoned_ = false;
  std::unique_ptr<http::ClientStream> stream_;
};

/// The head of a GET of what a PUT with `head` would write, by the same client.
http::RequestHead asking_head(http::RequestHead head);

/// Waits until the answer is there, the link is given up or `limit` has passed. A server that says
/// nothing for the patience of a read makes the link suspect: its PINGs decide. False: no outcome.
Task<bool> wait_for_answer(request::ThreadContext& thread, std::shared_ptr<Call> call,
                           SteadyClock::duration limit);

}  // namespace holdfast::lease
