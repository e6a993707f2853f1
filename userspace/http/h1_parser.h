#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"
#include "holdfast/base/slice.h"
#include "holdfast/http/message.h"
#include "http/slice_queue.h"

namespace holdfast::http {

/// What a message's head says about its connection.
struct H1Framing {
  bool keep_alive = true;
  bool http10 = false;
  bool expects_continue = false;
  bool until_eof = false;  ///< a response without a length: ends with the connection
};

/// One HTTP/1.1 message, parsed as it comes (Boost.Beast's parser). Refuses what two readers could
/// understand differently (RFC 9112 §6.3, §11.2): kProtocol; a head beyond its limit: kTooLarge.
class H1Parser {
 public:
  static std::unique_ptr<H1Parser> request(std::size_t header_bytes);
  /// `to_head`: the response to a HEAD request, which has no body whatever it says.
  static std::unique_ptr<H1Parser> response(std::size_t header_bytes, bool to_head);
  virtual ~H1Parser() = default;

  /// Parses; the body's bytes go to `body`, without their chunks. Returns how many of `bytes` were
  /// used: all, unless the message is done.
  virtual Result<std::size_t> feed(const Slice& bytes, SliceQueue& body) = 0;
  /// The connection ended: kReset unless the message is whole.
  virtual Result<void> finish() = 0;
  [[nodiscard]] virtual bool head_done() const = 0;
  [[nodiscard]] virtual bool done() const = 0;
  [[nodiscard]] virtual const H1Framing& framing() const = 0;
  /// The head, once. Hop-by-hop fields are gone; kProtocol when it makes no sense.
  virtual Result<RequestHead> take_request() = 0;
  /// A 101's `upgrade` field stays in, since the next hop's needs it.
  virtual ResponseHead take_response() = 0;
};

std::string_view reason_phrase(unsigned status);

}  // namespace holdfast::http
