#include "request/reply.h"

namespace holdfast::request {

Task<Result<void>> Reply::head(http::ResponseHead head, bool end, Source source) {
  code_ = head.status;
  head_sent_ = SteadyClock::now();
  source_ = source;
  return exchange_->respond(std::move(head), end);
}

Task<Result<void>> Reply::write(Slice bytes, bool end) {
  bytes_ += bytes.size();
  return exchange_->write(std::move(bytes), end);
}

Task<Result<void>> Reply::status(kube::Encoding encoding, kube::Status status, Source source) {
  auto body = Slice::own(kube::render_status(encoding, status));
  http::ResponseHead answer{.status = status.code};
  answer.headers.add("content-type", kube::content_type(encoding, false));
  answer.headers.add("content-length", std::to_string(body.size()));
  answer.headers.add("cache-control", "no-cache, private");
  if (auto sent = co_await head(std::move(answer), false, source); !sent) co_return sent;
  co_return co_await write(std::move(body), true);
}

}  // namespace holdfast::request
