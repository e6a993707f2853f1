#include "holdfast/tls/stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "holdfast/base/event.h"
#include "http/block.h"

namespace holdfast::tls {
namespace {

using http::Block;
using http::Transport;

// OpenSSL's queue of errors of this thread, as one line.
std::string openssl_words() {
  std::string words;
  while (const unsigned long code = ERR_get_error()) {
    char line[256];
    ERR_error_string_n(code, line, sizeof line);
    if (!words.empty()) words += "; ";
    words += line;
  }
  return words;
}

/// What lies between OpenSSL and the transport: ciphertext that was read and not yet decrypted,
/// and blocks of ciphertext to be written.
struct Wire {
  Slice in;
  std::size_t in_offset = 0;
  bool in_ended = false;
  std::vector<Block> out;

  [[nodiscard]] bool in_empty() const { return in_offset == in.size(); }
};

int wire_write(BIO* bio, const char* bytes, int count) {
  auto& wire = *static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  auto rest = static_cast<std::size_t>(count);
  while (rest > 0) {
    if (wire.out.empty() || wire.out.back().room() == 0) wire.out.push_back(Block::take());
    const std::size_t part = std::min(rest, wire.out.back().room());
    wire.out.back().append(bytes, part);
    bytes += part;
    rest -= part;
  }
  return count;
}

int wire_read(BIO* bio, char* to, int count) {
  auto& wire = *static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const std::size_t part =
      std::min(static_cast<std::size_t>(count), wire.in.size() - wire.in_offset);
  if (part == 0) {
    if (wire.in_ended) return 0;
    BIO_set_retry_read(bio);
    return -1;
  }
  std::memcpy(to, wire.in.data() + wire.in_offset, part);
  wire.in_offset += part;
  if (wire.in_empty()) {
    wire.in = Slice{};
    wire.in_offset = 0;
  }
  return static_cast<int>(part);
}

long wire_control(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return static_cast<const Wire*>(BIO_get_data(bio))->in_ended ? 1 : 0;
    default:
      return 0;
  }
}

BIO_METHOD* wire_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "holdfast");
    BIO_meth_set_write(m, wire_write);
    BIO_meth_set_read(m, wire_read);
    BIO_meth_set_ctrl(m, wire_control);
    return m;
  }();
  return method;
}

class StreamImpl final : public Stream, public std::enable_shared_from_this<StreamImpl> {
 public:
  StreamImpl(std::shared_ptr<Transport> next, SSL* ssl)
      : next_{std::move(next)}, ssl_{ssl}, flushed_{next_->executor()} {
    BIO* bio = BIO_new(wire_method());
    BIO_set_data(bio, &wire_);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_, bio, bio);
    SSL_set_mode(ssl_, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    // Our BIO takes everything: all records of a write at once, and one system call for them.
    SSL_clear_mode(ssl_, SSL_MODE_ENABLE_PARTIAL_WRITE);
  }
  ~StreamImpl() override { SSL_free(ssl_); }

  Task<Result<void>> handshake() override {
    const auto self = shared_from_this();
    for (;;) {
      ERR_clear_error();
      const int done = SSL_do_handshake(ssl_);
      const int why = SSL_get_error(ssl_, done);
      const std::string words = why == SSL_ERROR_SSL ? openssl_words() : std::string{};
      // Also after a failure: the peer is to see our alert.
      const auto sent = co_await flush();
      if (done == 1) co_return sent;
      if (why != SSL_ERROR_WANT_READ) {
        if (wire_.in_ended) co_return make_error(Errc::kClosed, "TLS handshake: peer hung up");
        co_return make_error(Errc::kProtocol, "TLS handshake: " + words);
      }
      if (!sent) co_return sent.error();
      const auto more = co_await feed();
      if (!more) co_return more.error();
    }
  }

  Task<Result<Slice>> read() override {
    const auto self = shared_from_this();
    for (;;) {
      if (!drained_) {
        Slice plain = decrypt();
        // A key update or an alert may have come of it.
        if (!wire_.out.empty() && !flushing_) (void)co_await flush();
        if (!plain.empty()) co_return plain;
        if (ended_) co_return Slice{};
        if (failure_) co_return *failure_;
      }
      const auto more = co_await feed();
      if (!more) co_return more.error();
    }
  }

  Task<Result<void>> write(Slice bytes) override {
    const auto self = shared_from_this();
    if (failure_) co_return *failure_;
    std::string_view rest = bytes.view();
    while (!rest.empty()) {
      const std::size_t part = std::min(rest.size(), Block::kPayload);
      ERR_clear_error();
      const int done = SSL_write(ssl_, rest.data(), static_cast<int>(part));
      if (done <= 0) co_return fail(make_error(Errc::kReset, "TLS write: " + openssl_words()));
      rest.remove_prefix(static_cast<std::size_t>(done));
      const auto sent = co_await flush();
      if (!sent) co_return sent.error();
    }
    co_return Result<void>{};
  }

  Task<Result<void>> shutdown() override {
    const auto self = shared_from_this();
    ERR_clear_error();
    if (!failure_ && SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
    const auto sent = co_await flush();
    if (!sent) co_return sent.error();
    co_return co_await next_->shutdown();
  }

  void close() override { next_->close(); }
  http::Upload upload() const override { return next_->upload(); }
  Executor executor() override { return next_->executor(); }
  SSL* native() override { return ssl_; }

  std::string alpn() const override {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }

 private:
  Error fail(Error error) {
    if (!failure_) failure_ = std::move(error);
    return *failure_;
  }

  // Reads ciphertext once. An end of the transport is left to OpenSSL to judge.
  Task<Result<void>> feed() {
    auto bytes = co_await next_->read();
    if (!bytes) co_return fail(bytes.error());
    if (bytes->empty()) wire_.in_ended = true;
    wire_.in = std::move(*bytes);
    wire_.in_offset = 0;
    drained_ = false;
    co_return Result<void>{};
  }

  // A block's worth of plain text at most; sets drained_, ended_ or failure_ when there is no more.
  Slice decrypt() {
    Block block = Block::take();
    while (block.size() < Block::kPayload) {
      ERR_clear_error();
      const int got =
          SSL_read(ssl_, block.tail(), static_cast<int>(Block::kPayload - block.size()));
      if (got > 0) {
        block.commit(static_cast<std::size_t>(got));
        continue;
      }
      switch (SSL_get_error(ssl_, got)) {
        case SSL_ERROR_WANT_READ:
          drained_ = true;
          break;
        case SSL_ERROR_ZERO_RETURN:
          ended_ = true;
          break;
        default:
          // A FIN without close_notify is no orderly end: anybody could have sent it.
          fail(wire_.in_ended
                   ? make_error(Errc::kReset, "TLS: connection ended without close_notify")
                   : make_error(Errc::kProtocol, "TLS: " + openssl_words()));
      }
      break;
    }
    if (block.size() == 0) return Slice{};
    return std::move(block).slice();
  }

  // Writes what OpenSSL has produced, also what is added meanwhile. The reader and the writer may
  // both come here: one writes, the other waits for it.
  Task<Result<void>> flush() {
    while (flushing_) co_await flushed_.wait();
    struct Turn {
      StreamImpl& stream;
      bool complete = false;
      explicit Turn(StreamImpl& s) : stream{s} { stream.flushing_ = true; }
      ~Turn() {
        stream.flushing_ = false;
        // Cancelled halfway: what follows would not decrypt.
        if (!complete) stream.fail(make_error(Errc::kCancelled, "TLS write"));
        stream.flushed_.notify_all();
      }
    };
    Turn turn{*this};
    while (!wire_.out.empty()) {
      Block block = std::move(wire_.out.front());
      wire_.out.erase(wire_.out.begin());
      const auto sent = co_await next_->write(std::move(block).slice());
      if (!sent) {
        turn.complete = true;
        co_return fail(sent.error());
      }
    }
    turn.complete = true;
    co_return Result<void>{};
  }

  std::shared_ptr<Transport> next_;
  SSL* ssl_;
  Wire wire_;
  Event flushed_;
  std::optional<Error> failure_;
  bool flushing_ = false;
  bool drained_ = false;
  bool ended_ = false;
};

}  // namespace

std::shared_ptr<Stream> Stream::create(std::shared_ptr<http::Transport> next, SSL* ssl) {
  return std::make_shared<StreamImpl>(std::move(next), ssl);
}

}  // namespace holdfast::tls
