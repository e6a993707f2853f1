#pragma once

#include <memory>
#include <utility>

#include "holdfast/http/transport.h"

namespace holdfast::http {

/// A transport whose first bytes were read already.
class PrefixTransport final : public Transport {
 public:
  PrefixTransport(std::shared_ptr<Transport> next, Slice prefix)
      : next_{std::move(next)}, prefix_{std::move(prefix)} {}

  Task<Result<Slice>> read() override {
    if (!prefix_.empty()) return first(std::exchange(prefix_, Slice{}));
    return next_->read();
  }
  Task<Result<void>> write(Slice bytes) override { return next_->write(std::move(bytes)); }
  Task<Result<void>> shutdown() override { return next_->shutdown(); }
  void close() override { next_->close(); }
  Executor executor() override { return next_->executor(); }

 private:
  static Task<Result<Slice>> first(Slice prefix) { co_return prefix; }

  std::shared_ptr<Transport> next_;
  Slice prefix_;
};

}  // namespace holdfast::http
