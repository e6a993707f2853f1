#pragma once

#include <memory>
#include <optional>

#include "holdfast/base/event.h"
#include "holdfast/base/result.h"
#include "holdfast/http/message.h"
#include "holdfast/http/transport.h"
#include "http/slice_queue.h"

namespace holdfast::http {

/// The input of an HTTP/1.1 connection, read ahead by one block: so the end of the connection is
/// seen while nobody wants to read.
class H1Wire {
 public:
  explicit H1Wire(std::shared_ptr<Transport> transport)
      : transport_{std::move(transport)}, changed_{transport_->executor()} {}

  /// Reads until the connection ends.
  Task<> read_loop();
  /// The next bytes; empty at an orderly end.
  Task<Result<Slice>> next();
  /// Gives back the end of what `next` returned last.
  void put_back(Slice rest) {
    if (!rest.empty()) front_ = std::move(rest);  // an empty one would pin its block
  }
  /// Our FIN, then waits for the peer's, or a second; closes.
  Task<> linger();
  void close();

  [[nodiscard]] Transport& transport() { return *transport_; }
  [[nodiscard]] bool ended() const { return ended_; }  ///< in whatever way
  [[nodiscard]] bool ended_by_peer() const { return ended_ && !closed_; }
  [[nodiscard]] bool empty() const { return in_.empty() && front_.empty(); }
  /// Wakes whoever waits here for the connection or for what its owner does.
  void notify() { changed_.notify_all(); }
  [[nodiscard]] Event& changed() { return changed_; }
  [[nodiscard]] SteadyClock::time_point last_received() const { return last_received_; }

 private:
  std::shared_ptr<Transport> transport_;
  Event changed_;
  SliceQueue in_;
  Slice front_;
  std::optional<Error> failure_;
  SteadyClock::time_point last_received_ = SteadyClock::now();
  bool ended_ = false;
  bool closed_ = false;  ///< by us, before the peer ended it
  bool discarding_ = false;
};

/// The head of a message on the wire. `lines` go in before the blank line. kInvalidArgument when a
/// field could break the framing.
Result<std::string> write_request_head(const RequestHead& head, std::string_view lines);
Result<std::string> write_response_head(const ResponseHead& head, std::string_view lines);
/// Sends a piece of a chunked body, and the last chunk at the `end`.
Task<Result<void>> write_chunk(std::shared_ptr<Transport> transport, Slice bytes, bool end);

}  // namespace holdfast::http
