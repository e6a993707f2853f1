#pragma once

#include <cstdint>
#include <memory>

#include "holdfast/base/task.h"
#include "holdfast/http/exchange.h"
#include "holdfast/kube/object.h"
#include "holdfast/telemetry/labels.h"

namespace holdfast::request {

using telemetry::Source;

/// The response side of an Exchange, with the account of what was sent.
class Reply {
 public:
  explicit Reply(std::shared_ptr<http::Exchange> exchange) : exchange_{std::move(exchange)} {}

  Task<Result<void>> head(http::ResponseHead head, bool end, Source source);
  Task<Result<void>> write(Slice bytes, bool end);
  /// A whole answer of our own: metav1.Status in that encoding. No Retry-After header, ever:
  /// client-go would block for ten retries (rest/with_retry.go).
  Task<Result<void>> status(kube::Encoding encoding, kube::Status status, Source source);
  /// The connection was handed over to a tunnel (101).
  void tunnelled() {
    code_ = 101;
    head_sent_ = SteadyClock::now();
    source_ = Source::kTunnel;
  }
  /// What a tunnel carried to the client.
  void add_bytes(std::uint64_t count) { bytes_ += count; }
  void abort() { exchange_->abort(); }
  void refuse() { exchange_->refuse(); }

  [[nodiscard]] unsigned code() const { return code_; }         ///< 0: nothing sent yet
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }  ///< of the body
  [[nodiscard]] Source source() const { return source_; }
  [[nodiscard]] bool started() const { return code_ != 0; }
  /// When the head was sent; meaningless before.
  [[nodiscard]] SteadyClock::time_point head_sent() const { return head_sent_; }

 private:
  std::shared_ptr<http::Exchange> exchange_;
  unsigned code_ = 0;
  std::uint64_t bytes_ = 0;
  Source source_ = Source::kLocal;
  SteadyClock::time_point head_sent_{};
};

}  // namespace holdfast::request
