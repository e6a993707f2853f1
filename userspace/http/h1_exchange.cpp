#include <utility>

#include "http/block.h"
#include "http/h1_server.h"

namespace holdfast::http {
namespace {

std::string_view first_token(std::string_view list) {
  const auto token = list.substr(0, list.find(','));
  return token.substr(0, token.find(' '));
}

}  // namespace

/// The bytes of a connection behind its 101. The connection's reader goes on reading for it.
class H1Upgraded final : public Transport {
 public:
  explicit H1Upgraded(std::shared_ptr<H1Server> server) : server_{std::move(server)} {
    server_->handed_over_ = true;
  }
  ~H1Upgraded() override {
    server_->handed_over_ = false;
    server_->wire_.close();
  }

  Task<Result<Slice>> read() override { return server_->wire_.next(); }
  Task<Result<void>> write(Slice bytes) override {
    return server_->transport_->write(std::move(bytes));
  }
  Task<Result<void>> shutdown() override { return server_->transport_->shutdown(); }
  void close() override { server_->wire_.close(); }
  Executor executor() override { return server_->transport_->executor(); }

 private:
  std::shared_ptr<H1Server> server_;
};

H1Exchange::H1Exchange(std::shared_ptr<H1Server> server, std::unique_ptr<H1Parser> parser,
                       SliceQueue body, RequestHead request)
    : server_{std::move(server)},
      parser_{std::move(parser)},
      body_{std::move(body)},
      request_{std::move(request)},
      expects_continue_{parser_->framing().expects_continue && !parser_->done()},
      keep_alive_{parser_->framing().keep_alive && !parser_->framing().http10} {}

const std::shared_ptr<void>& H1Exchange::context() const {
  return server_->options_.context;
}

Task<Result<Slice>> H1Exchange::read() {
  const auto self = shared_from_this();
  H1Wire& wire = server_->wire_;
  if (expects_continue_) {
    expects_continue_ = false;
    // Not to a client that has begun to send by itself.
    if (!responded_ && body_.empty() && wire.empty()) {
      const auto sent =
          co_await server_->transport_->write(Slice::own("HTTP/1.1 100 Continue\r\n\r\n"));
      if (!sent) co_return sent.error();
    }
  }
  while (body_.empty() && !parser_->done()) {
    const auto bytes = co_await wire.next();
    if (!bytes) co_return bytes.error();
    if (bytes->empty()) co_return make_error(Errc::kReset, "the client ended within its request");
    const auto used = parser_->feed(*bytes, body_);
    if (!used) {
      keep_alive_ = false;
      co_return used.error();
    }
    wire.put_back(bytes->sub(*used));
  }
  if (body_.empty()) co_return Slice{};
  co_return body_.pop();
}

Task<Result<void>> H1Exchange::respond(ResponseHead head, bool end) {
  const auto self = shared_from_this();
  if (responded_) co_return make_error(Errc::kInvalidArgument, "responded already");
  if (server_->draining_ || expects_continue_) keep_alive_ = false;
  std::string lines;
  if (is_bodiless(request_.method, head.status)) {
    framing_ = Framing::kNone;
    end = true;
  } else if (const auto length = content_length(head.headers)) {
    framing_ = Framing::kLength;
    remaining_ = *length;
  } else if (end) {
    framing_ = Framing::kNone;
    lines = "content-length: 0\r\n";
  } else if (!parser_->framing().http10) {
    framing_ = Framing::kChunked;
    lines = "transfer-encoding: chunked\r\n";
  } else {
    framing_ = Framing::kUntilClose;
    keep_alive_ = false;
  }
  if (!keep_alive_) lines += "connection: close\r\n";
  auto text = write_response_head(head, lines);
  if (!text) co_return text.error();
  responded_ = true;
  const bool cut = end && framing_ == Framing::kLength && remaining_ > 0;
  const auto sent = co_await server_->transport_->write(Slice::own(std::move(*text)));
  if (!sent) co_return sent.error();
  if (cut) {
    abort();
    co_return make_error(Errc::kInvalidArgument, "body and Content-Length differ");
  }
  complete_ = end;
  co_return Result<void>{};
}

Task<Result<void>> H1Exchange::write(Slice bytes, bool end) {
  const auto self = shared_from_this();
  if (!responded_) co_return make_error(Errc::kInvalidArgument, "write before respond");
  if (framing_ == Framing::kNone) co_return Result<void>{};
  if (complete_) co_return make_error(Errc::kInvalidArgument, "write after the end");
  auto transport = server_->transport_;
  Result<void> sent;
  if (framing_ == Framing::kChunked) {
    sent = co_await write_chunk(transport, std::move(bytes), end);
  } else {
    if (framing_ == Framing::kLength) {
      // More or less than was announced must not pass for the whole answer.
      if (bytes.size() > remaining_ || (end && bytes.size() < remaining_)) {
        abort();
        co_return make_error(Errc::kInvalidArgument, "body and Content-Length differ");
      }
      remaining_ -= bytes.size();
    }
    if (!bytes.empty()) sent = co_await transport->write(std::move(bytes));
  }
  if (sent && end) complete_ = true;
  co_return sent;
}

Task<Result<void>> H1Exchange::answer(StatusAnswer answer) {
  const auto self = shared_from_this();
  const bool bodiless = is_bodiless(request_.method, answer.head.status);
  const auto responded = co_await respond(std::move(answer.head), bodiless);
  if (!responded || bodiless) co_return responded;
  co_return co_await write(Slice::own(std::move(answer.body)), true);
}

void H1Exchange::abort() {
  if (complete_) return;
  server_->wire_.close();
}

Task<Result<std::unique_ptr<Transport>>> H1Exchange::upgrade(ResponseHead head) {
  const auto self = shared_from_this();
  if (responded_) co_return make_error(Errc::kInvalidArgument, "responded already");
  if (request_.upgrade.empty()) co_return make_error(Errc::kUnsupported, "no Upgrade was asked");
  std::string protocol{head.headers.get("upgrade")};
  if (protocol.empty()) protocol = first_token(request_.upgrade);
  if (!is_safe(protocol)) co_return make_error(Errc::kInvalidArgument, "upgrade");
  head.status = 101;
  const auto text =
      write_response_head(head, "connection: Upgrade\r\nupgrade: " + protocol + "\r\n");
  if (!text) co_return text.error();
  responded_ = true;
  upgraded_ = true;
  const auto sent = co_await server_->transport_->write(Slice::own(*text));
  if (!sent) co_return sent.error();
  co_return std::unique_ptr<Transport>{std::make_unique<H1Upgraded>(server_)};
}

}  // namespace holdfast::http
