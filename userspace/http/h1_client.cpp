#include "http/h1_client.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "http/fields.h"

namespace holdfast::http {

class H1ClientStream final : public ClientStream {
 public:
  H1ClientStream(std::shared_ptr<H1Client> client, std::string method, bool chunked, bool end)
      : client_{std::move(client)},
        method_{std::move(method)},
        parser_{make_parser()},
        chunked_{chunked},
        request_done_{end} {}
  ~H1ClientStream() override { cancel(); }
  SteadyClock::time_point last_received() const override { return client_->last_received(); }

  Task<Result<ResponseHead>> response() override {
    for (;;) {
      while (!parser_->head_done()) {
        const auto more = co_await feed();
        if (!more) co_return more.error();
      }
      ResponseHead head = parser_->take_response();
      if (head.status / 100 != 1) {
        head_taken_ = true;
        finish_if_done();
        co_return head;
      }
      if (head.status == 101) {
        cancel();
        co_return make_error(Errc::kProtocol, "101 to a request without Upgrade");
      }
      parser_ = make_parser();
    }
  }

  Task<Result<Slice>> read() override {
    while (body_.empty() && !parser_->done()) {
      const auto more = co_await feed();
      if (!more) co_return more.error();
    }
    finish_if_done();
    if (body_.empty()) co_return Slice{};
    co_return body_.pop();
  }

  Task<Result<void>> write(Slice bytes, bool end) override {
    if (cancelled_) co_return make_error(Errc::kCancelled, "cancelled");
    if (request_done_) co_return make_error(Errc::kInvalidArgument, "write after the end");
    auto transport = client_->transport_;
    Result<void> sent;
    if (chunked_) {
      sent = co_await write_chunk(transport, std::move(bytes), end);
    } else if (!bytes.empty()) {
      sent = co_await transport->write(std::move(bytes));
    }
    if (sent && end) {
      request_done_ = true;
      finish_if_done();
    }
    co_return sent;
  }

  void cancel() override {
    if (finished_ || cancelled_) return;
    cancelled_ = true;
    // HTTP/1.1 has no other way to take a request back.
    client_->close();
  }

 private:
  std::unique_ptr<H1Parser> make_parser() const {
    return H1Parser::response(client_->limits_.header_bytes, method_ == "HEAD");
  }

  Task<Result<void>> feed() {
    H1Wire& wire = client_->wire_;
    const auto bytes = co_await wire.next();
    if (cancelled_) co_return make_error(Errc::kCancelled, "cancelled");
    if (!bytes) co_return make_error(Errc::kReset, bytes.error().to_string());
    if (bytes->empty()) co_return parser_->finish();
    const auto used = parser_->feed(*bytes, body_);
    if (!used) {
      client_->close();
      co_return used.error();
    }
    wire.put_back(bytes->sub(*used));
    co_return Result<void>{};
  }

  // The connection is free again, or of no more use.
  void finish_if_done() {
    if (finished_ || cancelled_ || !head_taken_ || !parser_->done()) return;
    finished_ = true;
    if (parser_->framing().keep_alive && !parser_->framing().http10 && request_done_) {
      client_->busy_ = false;
    } else {
      client_->close();
    }
  }

  std::shared_ptr<H1Client> client_;
  std::string method_;
  std::unique_ptr<H1Parser> parser_;
  SliceQueue body_;
  bool chunked_;
  bool request_done_;
  bool head_taken_ = false;
  bool finished_ = false;
  bool cancelled_ = false;
};

H1Client::H1Client(std::shared_ptr<Transport> transport, ClientLimits limits)
    : transport_{std::move(transport)}, limits_{limits}, wire_{transport_} {}

Task<> H1Client::run() {
  const auto self = shared_from_this();
  // Whoever cancels this also ends the connection.
  struct Closer {
    H1Wire& wire;
    ~Closer() { wire.close(); }
  };
  const Closer closer{wire_};
  co_await wire_.read_loop();
}

Task<Result<std::unique_ptr<ClientStream>>> H1Client::open(RequestHead head, bool end) {
  if (!usable()) co_return make_error(Errc::kUnavailable, "the connection is in use or closed");
  const auto self = shared_from_this();
  std::string_view lines;
  // A length with no body behind it: the server would take the next request for one.
  if (end) head.headers.remove("content-length");
  const bool has_length = head.headers.has("content-length");
  const bool chunked = !end && !has_length;
  if (chunked) lines = "transfer-encoding: chunked\r\n";
  if (end && head.method != "GET" && head.method != "HEAD" && head.method != "DELETE" &&
      head.method != "OPTIONS") {
    lines = "content-length: 0\r\n";
  }
  const auto text = write_request_head(head, lines);
  if (!text) co_return text.error();
  busy_ = true;
  auto stream = std::make_unique<H1ClientStream>(self, head.method, chunked, end);
  const auto sent = co_await transport_->write(Slice::own(*text));
  if (!sent) co_return make_error(Errc::kReset, sent.error().to_string());
  co_return std::unique_ptr<ClientStream>{std::move(stream)};
}

Task<Result<std::chrono::nanoseconds>> H1Client::ping(std::chrono::milliseconds) {
  co_return make_error(Errc::kUnsupported, "HTTP/1.1 has no PING");
}

}  // namespace holdfast::http
