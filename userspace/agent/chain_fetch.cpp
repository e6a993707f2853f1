#include "agent/chain_fetch.h"

#include <openssl/x509.h>

#include "agent/tls_probe.h"

namespace holdfast::agent {
namespace {

std::string to_der(X509* certificate) {
  const int size = i2d_X509(certificate, nullptr);
  if (size <= 0) return {};
  std::string der(static_cast<std::size_t>(size), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509(certificate, &out);
  return der;
}

}  // namespace

Task<Result<std::vector<std::string>>> fetch_chain(Executor executor, Endpoint target,
                                                   std::uint32_t mark,
                                                   std::chrono::milliseconds timeout) {
  const auto stream = co_await connect_unverified(executor, target, mark, timeout);
  if (!stream) co_return stream.error();
  std::vector<std::string> chain;
  // On the client's side the chain includes the leaf (SSL_get_peer_cert_chain(3)).
  const auto* presented = SSL_get_peer_cert_chain((*stream)->native());
  for (int i = 0; presented && i < sk_X509_num(presented); ++i) {
    chain.push_back(to_der(sk_X509_value(presented, i)));
  }
  (*stream)->close();
  if (chain.empty()) {
    co_return make_error(Errc::kProtocol, target.to_string() + " presented no certificate");
  }
  co_return chain;
}

}  // namespace holdfast::agent
