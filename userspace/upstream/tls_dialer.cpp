#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <utility>
#include <vector>

#include "holdfast/base/deadline.h"
#include "holdfast/http/tcp.h"
#include "holdfast/tls/stream.h"
#include "holdfast/upstream/dialer.h"
#include "upstream/address_book.h"
#include "upstream/metered.h"
#include "upstream/openssl.h"
#include "upstream/servers.h"

namespace holdfast::upstream {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr std::string_view kHttp1 = "\x08http/1.1";
constexpr std::string_view kBoth = "\x02h2\x08http/1.1";
/// A resolver that is cut off as well does not use up the time for a connect to the last known
/// address.
constexpr Milliseconds kResolveTimeout{2000};

Result<ContextPtr> make_context(const std::string& ca_pem) {
  ContextPtr context{SSL_CTX_new(TLS_client_method())};
  if (!context) return openssl_error(Errc::kUnsupported, "making a TLS context");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // A session carries the identity it was made under: none is ever resumed.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);

  X509_STORE* store = SSL_CTX_get_cert_store(context.get());
  // Like Go's: whatever the bundle holds is an anchor, an intermediate too.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  const auto bio = memory_bio(ca_pem);
  int roots = 0;
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    if (X509_STORE_add_cert(store, certificate) == 1) ++roots;
    X509_free(certificate);
  }
  ERR_clear_error();
  if (roots == 0) return make_error(Errc::kInvalidArgument, "no certificate in upstream.ca");
  return context;
}

Result<SslPtr> make_ssl(SSL_CTX* context, const Server& server, const Identity& identity,
                        Dialer::Protocol protocol) {
  SslPtr ssl{SSL_new(context)};
  if (!ssl) return openssl_error(Errc::kUnsupported, "making a TLS connection");
  SSL_set_connect_state(ssl.get());

  const auto& name = server.tls_name.empty() ? server.host : server.tls_name;
  auto* parameters = SSL_get0_param(ssl.get());
  X509_VERIFY_PARAM_set_hostflags(
      parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  bool ok = false;
  if (const auto address = Endpoint::from_address(name, 0)) {  // RFC 6066 §3: no SNI then
    ok = X509_VERIFY_PARAM_set1_ip_asc(parameters, address->address_string().c_str()) == 1;
  } else {
    ok = !name.empty() && SSL_set1_host(ssl.get(), name.c_str()) == 1 &&
         SSL_set_tlsext_host_name(ssl.get(), name.c_str()) == 1;
  }
  if (!ok) return openssl_error(Errc::kInvalidArgument, "\"" + name + "\" is no server's name");

  const auto alpn = protocol == Dialer::Protocol::kHttp11 ? kHttp1 : kBoth;
  if (SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                          static_cast<unsigned>(alpn.size())) != 0) {
    return openssl_error(Errc::kUnsupported, "offering ALPN");
  }
  if (identity) {
    if (auto applied = identity->apply(ssl.get()); !applied) return applied.error();
  }
  return ssl;
}

Error describe(const Error& error, const Server& server) {
  auto text = server.authority() + ": " + error.to_string();
  if (classify(error) == ConnectFailure::kRefused) return make_error(Errc::kRefused, text);
  return Error{error.code, std::move(text)};
}

class TlsDialer final : public Dialer {
 public:
  TlsDialer(Executor executor, DialOptions options, ContextPtr context)
      : executor_{executor},
        options_{std::move(options)},
        context_{std::move(context)},
        names_{AddressBook::create(executor)} {}

  Task<Result<Dialed>> dial(Server server, Identity identity, Protocol protocol) override {
    const auto endpoints = co_await names_->find(server.host, server.port, kResolveTimeout);
    if (!endpoints) co_return endpoints.error();
    const auto until = SteadyClock::now() + options_.timeout;
    Error last = make_error(Errc::kTimeout, server.authority());
    for (const auto& endpoint : *endpoints) {
      const auto left = std::chrono::duration_cast<Milliseconds>(until - SteadyClock::now());
      if (left.count() <= 0) break;
      auto socket = co_await http::connect_tcp(executor_, endpoint, options_.mark, left);
      if (!socket) {
        last = describe(socket.error(), server);
        continue;
      }
      // A tunnel's last bytes are its client's; a request that is given up is not to arrive later.
      if (protocol == Protocol::kAny) (*socket)->discard_on_close();
      // It answered: what goes wrong from here on is not another address's to mend.
      co_return co_await secure(std::move(server), std::move(identity), protocol,
                                std::move(*socket), until);
    }
    co_return last;
  }

  std::shared_ptr<http::ClientConnection> connection(Dialed dialed,
                                                     http::ClientLimits limits) override {
    return http::ClientConnection::create(std::move(dialed.transport), std::move(dialed.alpn),
                                          limits);
  }

 private:
  Task<Result<Dialed>> secure(Server server, Identity identity, Protocol protocol,
                              std::shared_ptr<http::Transport> socket,
                              SteadyClock::time_point until) {
    auto ssl = make_ssl(context_.get(), server, identity, protocol);
    if (!ssl) co_return ssl.error();
    if (options_.on_bytes) {
      socket = std::make_shared<MeteredTransport>(std::move(socket), options_.on_bytes);
    }
    const auto stream = tls::Stream::create(std::move(socket), ssl->release());
    bool late = false;
    Result<void> done;
    {
      const Deadline deadline{executor_, until - SteadyClock::now(), [&late, &stream] {
                                late = true;
                                stream->close();
                              }};
      done = co_await stream->handshake();
    }
    if (late) co_return make_error(Errc::kTimeout, server.authority() + ": TLS handshake");
    if (!done) {
      stream->close();
      co_return describe(done.error(), server);
    }
    Dialed dialed;
    dialed.transport = stream;
    dialed.alpn = stream->alpn();
    co_return dialed;
  }

  const Executor executor_;
  const DialOptions options_;
  const ContextPtr context_;
  const std::shared_ptr<AddressBook> names_;
};

}  // namespace

Result<std::unique_ptr<Dialer>> Dialer::create(Executor executor, DialOptions options) {
  auto context = make_context(options.ca_pem);
  if (!context) return context.error();
  return std::unique_ptr<Dialer>{
      std::make_unique<TlsDialer>(executor, std::move(options), std::move(*context))};
}

}  // namespace holdfast::upstream
