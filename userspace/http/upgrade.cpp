#include "holdfast/http/upgrade.h"

#include <utility>

#include "http/fields.h"
#include "http/h1_parser.h"
#include "http/h1_wire.h"
#include "http/prefix_transport.h"

namespace holdfast::http {
namespace {

constexpr std::size_t kHeaderBytes = 256 * 1024;

class RefusalBody final : public BodyReader {
 public:
  RefusalBody(std::shared_ptr<Transport> transport, std::unique_ptr<H1Parser> parser,
              SliceQueue body)
      : transport_{std::move(transport)}, parser_{std::move(parser)}, body_{std::move(body)} {}
  ~RefusalBody() override { transport_->close(); }

  Task<Result<Slice>> read() override {
    while (body_.empty() && !parser_->done()) {
      const auto bytes = co_await transport_->read();
      if (!bytes) co_return bytes.error();
      if (bytes->empty()) {
        const auto finished = parser_->finish();
        if (!finished) co_return finished.error();
        break;
      }
      const auto used = parser_->feed(*bytes, body_);
      if (!used) co_return used.error();
    }
    if (body_.empty()) co_return Slice{};
    co_return body_.pop();
  }

 private:
  std::shared_ptr<Transport> transport_;
  std::unique_ptr<H1Parser> parser_;
  SliceQueue body_;
};

}  // namespace

Task<Result<UpgradeOutcome>> upgrade_request(std::shared_ptr<Transport> transport,
                                             RequestHead head) {
  if (head.upgrade.empty() || !is_safe(head.upgrade)) {
    co_return make_error(Errc::kInvalidArgument, "upgrade");
  }
  const auto text =
      write_request_head(head, "connection: Upgrade\r\nupgrade: " + head.upgrade + "\r\n");
  if (!text) co_return text.error();
  const auto sent = co_await transport->write(Slice::own(*text));
  if (!sent) co_return sent.error();
  for (;;) {
    auto parser = H1Parser::response(kHeaderBytes, head.method == "HEAD");
    SliceQueue body;
    Slice rest;
    while (!parser->head_done()) {
      const auto bytes = co_await transport->read();
      if (!bytes) co_return bytes.error();
      if (bytes->empty()) co_return make_error(Errc::kReset, "no answer to the upgrade");
      const auto used = parser->feed(*bytes, body);
      if (!used) co_return used.error();
      rest = bytes->sub(*used);
    }
    UpgradeOutcome outcome;
    outcome.head = parser->take_response();
    if (outcome.head.status == 101) {
      outcome.transport = std::make_shared<PrefixTransport>(transport, rest);
      co_return outcome;
    }
    if (outcome.head.status / 100 == 1) {
      transport = std::make_shared<PrefixTransport>(transport, rest);
      continue;
    }
    outcome.body = std::make_unique<RefusalBody>(transport, std::move(parser), std::move(body));
    co_return outcome;
  }
}

}  // namespace holdfast::http
