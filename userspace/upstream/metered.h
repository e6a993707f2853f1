#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "holdfast/http/transport.h"

namespace holdfast::upstream {

/// Counts what passes: on a metered link, these are the bytes that are paid for.
class MeteredTransport final : public http::Transport {
 public:
  using OnBytes = std::function<void(std::size_t sent, std::size_t received)>;

  MeteredTransport(std::shared_ptr<http::Transport> next, OnBytes on_bytes)
      : next_{std::move(next)}, on_bytes_{std::move(on_bytes)} {}

  Task<Result<Slice>> read() override {
    auto bytes = co_await next_->read();
    if (bytes) on_bytes_(0, bytes->size());
    co_return bytes;
  }
  Task<Result<void>> write(Slice bytes) override {
    on_bytes_(bytes.size(), 0);
    return next_->write(std::move(bytes));
  }
  Task<Result<void>> shutdown() override { return next_->shutdown(); }
  void close() override { next_->close(); }
  Executor executor() override { return next_->executor(); }
  http::Upload upload() const override { return next_->upload(); }

 private:
  std::shared_ptr<http::Transport> next_;
  OnBytes on_bytes_;
};

}  // namespace holdfast::upstream
