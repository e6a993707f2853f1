#include "agent/tls_probe.h"

#include <openssl/ssl.h>

#include "holdfast/base/deadline.h"
#include "holdfast/http/tcp.h"

namespace holdfast::agent {
namespace {

SSL_CTX* shared_context() {
  static SSL_CTX* const context = [] {
    SSL_CTX* made = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION);
    SSL_CTX_set_verify(made, SSL_VERIFY_NONE, nullptr);
    // HTTP/2 only by accident of the server's choice would make two code paths out of one probe.
    static constexpr unsigned char kAlpn[] = "\x08http/1.1";
    SSL_CTX_set_alpn_protos(made, kAlpn, sizeof kAlpn - 1);
    return made;
  }();
  return context;
}

}  // namespace

Task<Result<std::shared_ptr<tls::Stream>>> connect_unverified(Executor executor, Endpoint to,
                                                              std::uint32_t mark,
                                                              std::chrono::milliseconds timeout) {
  auto transport = co_await http::connect_tcp(executor, to, mark, timeout);
  if (!transport) co_return transport.error();
  SSL* ssl = SSL_new(shared_context());
  SSL_set_connect_state(ssl);
  auto stream = tls::Stream::create(std::move(*transport), ssl);
  const Deadline deadline{executor, timeout, [stream] { stream->close(); }};
  if (auto done = co_await stream->handshake(); !done) co_return done.error();
  co_return stream;
}

}  // namespace holdfast::agent
