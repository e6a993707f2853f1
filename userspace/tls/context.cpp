#include "tls/context.h"

#include <openssl/err.h>

#include <string_view>

namespace holdfast::tls {
namespace {

constexpr std::string_view kBoth = "\x02h2\x08http/1.1";

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

int select_alpn(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
                const unsigned char* offered, unsigned int offered_size, void* /*user*/) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, bytes(kBoth), kBoth.size(), offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

/// Who a client certificate belongs to is the API server's to decide; that the client holds its
/// key is proven by CertificateVerify, which OpenSSL checks in any case.
int accept_certificate(X509_STORE_CTX* /*context*/, void* /*user*/) {
  return 1;
}

ContextPtr make_context(const SSL_METHOD* method) {
  ContextPtr context{SSL_CTX_new(method)};
  if (!context) return context;
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(),
                      SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  // An idle connection keeps no record buffers: 33 KiB instead of 103 KiB.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return context;
}

}  // namespace

Result<ContextPtr> make_server_context(const ServingPair& pair) {
  auto context = make_context(TLS_server_method());
  if (!context) return openssl_error(Errc::kUnsupported, "making a TLS server context");
  auto chain = parse_pem_chain(pair.chain_pem, "the serving certificate");
  if (!chain) return std::move(chain).error();
  auto key = parse_pem_key(pair.key_pem, "the serving certificate");
  if (!key) return std::move(key).error();
  bool ok = SSL_CTX_use_certificate(context.get(), chain->front().get()) == 1 &&
            SSL_CTX_use_PrivateKey(context.get(), key->get()) == 1;
  for (std::size_t i = 1; ok && i < chain->size(); ++i) {
    ok = SSL_CTX_add1_chain_cert(context.get(), (*chain)[i].get()) == 1;
  }
  if (!ok) return openssl_error(Errc::kUnsupported, "using the serving certificate");
  // TLS 1.3 would send stateful tickets even with SSL_OP_NO_TICKET.
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, nullptr);
  // Asked for, not demanded; with no list of CAs, so that every client offers what it has.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), accept_certificate, nullptr);
  ERR_clear_error();
  return context;
}

}  // namespace holdfast::tls
