#pragma once

#include <memory>

#include "holdfast/base/result.h"
#include "holdfast/base/slice.h"
#include "holdfast/base/task.h"
#include "holdfast/http/message.h"
#include "holdfast/http/transport.h"

namespace holdfast::http {

/// A body that is read piece by piece.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  /// The next piece; empty at the end. kReset when it was cut short.
  virtual Task<Result<Slice>> read() = 0;
};

/// What a server said to an Upgrade request (exec, attach, port-forward).
struct UpgradeOutcome {
  /// Of a 101 it holds the `upgrade` field, and can be given to Exchange::upgrade as it is.
  ResponseHead head;
  std::shared_ptr<Transport> transport;  ///< set for 101: the bytes behind the head
  std::unique_ptr<BodyReader> body;      ///< set for all others
};

/// Sends `head` with its `upgrade` token list and without a body over a connection of its own, and
/// reads the head of the answer. The caller bounds the time (closing the transport ends it).
/// kProtocol, kReset, kTooLarge.
Task<Result<UpgradeOutcome>> upgrade_request(std::shared_ptr<Transport> transport,
                                             RequestHead head);

}  // namespace holdfast::http
