#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "holdfast/base/result.h"
#include "holdfast/base/task.h"
#include "holdfast/http/transport.h"

namespace holdfast::tls {

/// TLS over any Transport with memory buffers of our own: a third of the memory of
/// asio::ssl::stream per idle connection, and one write per batch of records.
class Stream : public http::Transport {
 public:
  /// `ssl` is configured (accept or connect state, SNI, ALPN) and owned from now on.
  static std::shared_ptr<Stream> create(std::shared_ptr<http::Transport> next, SSL* ssl);

  /// kProtocol with OpenSSL's words and the alert on failure; kClosed when the peer hung up.
  virtual Task<Result<void>> handshake() = 0;
  [[nodiscard]] virtual SSL* native() = 0;
  /// The negotiated protocol: "h2", "http/1.1" or empty.
  [[nodiscard]] virtual std::string alpn() const = 0;
};

}  // namespace holdfast::tls
