#include "http/h1_wire.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "http/block.h"
#include "http/fields.h"
#include "http/h1_parser.h"

namespace holdfast::http {
namespace {

constexpr std::size_t kReadAhead = 32 * 1024;
constexpr std::chrono::seconds kLinger{1};
constexpr std::size_t kChunkOverhead = 16 + 2 + 2 + 5;  // size, two line ends, the last chunk

Result<std::string> finish_head(std::string head, const Headers& headers, std::string_view lines) {
  for (const auto& field : headers) {
    if (is_hop_by_hop(field.name)) continue;
    if (!is_field_name(field.name) || !is_safe(field.value)) {
      return make_error(Errc::kInvalidArgument, "header field " + field.name);
    }
    head.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  head.append(lines).append("\r\n");
  return head;
}

}  // namespace

Task<> H1Wire::read_loop() {
  while (!ended_) {
    if (in_.bytes() >= kReadAhead && !discarding_) {
      co_await changed_.wait();
      continue;
    }
    auto bytes = co_await transport_->read();
    last_received_ = SteadyClock::now();
    if (!bytes) {
      failure_ = bytes.error();
      ended_ = true;
    } else if (bytes->empty()) {
      ended_ = true;
    } else if (!discarding_) {
      in_.push(std::move(*bytes));
    }
    notify();
  }
}

Task<Result<Slice>> H1Wire::next() {
  while (empty() && !ended_) co_await changed_.wait();
  if (!front_.empty()) co_return std::exchange(front_, Slice{});
  if (!in_.empty()) {
    Slice bytes = in_.pop();
    notify();  // there is room again
    co_return bytes;
  }
  if (failure_) co_return *failure_;
  co_return Slice{};
}

Task<> H1Wire::linger() {
  discarding_ = true;
  in_.clear();
  notify();
  if (!ended_) (void)co_await transport_->shutdown();
  const auto limit = SteadyClock::now() + kLinger;
  while (!ended_ && SteadyClock::now() < limit) {
    (void)co_await changed_.wait_for(limit - SteadyClock::now());
  }
  close();
}

void H1Wire::close() {
  if (!ended_) {
    failure_ = make_error(Errc::kCancelled, "closed");
    closed_ = true;
  }
  ended_ = true;
  transport_->close();
  notify();
}

Result<std::string> write_request_head(const RequestHead& head, std::string_view lines) {
  if (!is_safe(head.method) || !is_safe(head.target) || !is_safe(head.authority) ||
      head.method.empty() || head.target.find(' ') != std::string::npos) {
    return make_error(Errc::kInvalidArgument, "request line");
  }
  std::string text;
  text.reserve(512);
  text.append(head.method).append(" ").append(head.target).append(" HTTP/1.1\r\nhost: ");
  text.append(head.authority).append("\r\n");
  return finish_head(std::move(text), head.headers, lines);
}

Result<std::string> write_response_head(const ResponseHead& head, std::string_view lines) {
  std::string text;
  text.reserve(512);
  text.append("HTTP/1.1 ").append(std::to_string(head.status)).append(" ");
  text.append(reason_phrase(head.status)).append("\r\n");
  return finish_head(std::move(text), head.headers, lines);
}

Task<Result<void>> write_chunk(std::shared_ptr<Transport> transport, Slice bytes, bool end) {
  std::string_view rest = bytes.view();
  do {
    Block block = Block::take();
    const std::size_t size = std::min(rest.size(), Block::kPayload - kChunkOverhead);
    if (size > 0) {
      char* const line = block.tail();
      char* to = std::to_chars(line, line + 16, size, 16).ptr;
      *to++ = '\r';
      *to++ = '\n';
      block.commit(static_cast<std::size_t>(to - line));
      block.append(rest.data(), size);
      block.append("\r\n", 2);
      rest.remove_prefix(size);
    }
    if (rest.empty() && end) block.append("0\r\n\r\n", 5);
    if (block.size() == 0) break;
    const auto sent = co_await transport->write(std::move(block).slice());
    if (!sent) co_return sent.error();
  } while (!rest.empty());
  co_return Result<void>{};
}

}  // namespace holdfast::http
