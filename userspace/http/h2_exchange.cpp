#include <utility>

#include "http/h2_server.h"

namespace holdfast::http {

H2Exchange::H2Exchange(Executor executor, std::shared_ptr<H2Server> server)
    : H2Stream{executor}, server_{std::move(server)} {}

const std::shared_ptr<void>& H2Exchange::context() const {
  return server_->options_.context;
}

Task<Result<Slice>> H2Exchange::read() {
  if (expects_continue_) {
    expects_continue_ = false;
    if (!responded_ && !failure && in.empty() && !in_end) {
      const nghttp2_nv status = H2Server::nv(":status", "100");
      nghttp2_submit_headers(server_->session_, NGHTTP2_FLAG_NONE, id, nullptr, &status, 1,
                             nullptr);
      server_->wake_writer();
    }
  }
  return server_->read_body(shared_from_this());
}

Task<Result<void>> H2Exchange::respond(ResponseHead head, bool end) {
  if (failure) co_return *failure;
  if (responded_) co_return make_error(Errc::kInvalidArgument, "responded already");
  server_->submit(*this, std::move(head), end);
  co_return Result<void>{};
}

Task<Result<void>> H2Exchange::write(Slice bytes, bool end) {
  if (!responded_) co_return make_error(Errc::kInvalidArgument, "write before respond");
  if (failure && !out_sent) co_return *failure;
  if (bodiless_) co_return Result<void>{};
  if (remaining_) {
    // More or less than was announced must not pass for the whole answer.
    if (bytes.size() > *remaining_ || (end && bytes.size() < *remaining_)) {
      abort();
      co_return make_error(Errc::kInvalidArgument, "body and Content-Length differ");
    }
    *remaining_ -= bytes.size();
  }
  co_return co_await server_->write_body(shared_from_this(), std::move(bytes), end, kWriteWindow);
}

void H2Exchange::abort() {
  if (out_end) return;
  aborted_ = true;
  server_->reset(*this, NGHTTP2_INTERNAL_ERROR);
}

void H2Exchange::refuse() {
  if (responded_) return abort();
  aborted_ = true;
  server_->reset(*this, NGHTTP2_REFUSED_STREAM);
}

Task<Result<std::unique_ptr<Transport>>> H2Exchange::upgrade(ResponseHead) {
  co_return make_error(Errc::kUnsupported, "HTTP/2 has no Upgrade");
}

}  // namespace holdfast::http
