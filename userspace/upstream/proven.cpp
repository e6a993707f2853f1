#include "upstream/proven.h"

#include <functional>
#include <string_view>
#include <utility>

namespace holdfast::upstream {
namespace {

class NotingStream final : public http::ClientStream {
 public:
  NotingStream(std::unique_ptr<http::ClientStream> next, std::shared_ptr<Proven> proven,
               std::size_t credential)
      : next_{std::move(next)}, proven_{std::move(proven)}, credential_{credential} {}

  Task<Result<http::ResponseHead>> response() override {
    auto head = co_await next_->response();
    if (head) proven_->answered(credential_, head->status);
    co_return head;
  }
  Task<Result<Slice>> read() override { return next_->read(); }
  Task<Result<void>> write(Slice bytes, bool end) override {
    return next_->write(std::move(bytes), end);
  }
  void cancel() override { next_->cancel(); }
  SteadyClock::time_point last_received() const override { return next_->last_received(); }
  void nudge() override { next_->nudge(); }
  void close_connection() override { next_->close_connection(); }

 private:
  std::unique_ptr<http::ClientStream> next_;
  std::shared_ptr<Proven> proven_;
  std::size_t credential_;
};

}  // namespace

std::size_t Proven::credential_of(const http::RequestHead& head) {
  const auto value = head.headers.get("authorization");
  return value.empty() ? 0 : std::hash<std::string_view>{}(value);
}

void Proven::answered(std::size_t credential, unsigned status) {
  if (credential == 0) return;
  if (status == 401) {
    known_.erase(credential);
    return;
  }
  if (known_.size() >= kMost && !known_.contains(credential)) known_.clear();
  known_.insert(credential);
}

std::unique_ptr<http::ClientStream> noting(std::unique_ptr<http::ClientStream> stream,
                                           std::shared_ptr<Proven> proven, std::size_t credential) {
  return std::make_unique<NotingStream>(std::move(stream), std::move(proven), credential);
}

}  // namespace holdfast::upstream
