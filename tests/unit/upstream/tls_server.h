#pragma once

#include <cstdint>
#include <string>
#include <thread>

#include "holdfast/base/fd.h"

namespace holdfast::upstream {

/// A TLS server on 127.0.0.1 in a thread of its own that takes one connection, asks for a client
/// certificate, and holds the connection until the client ends it.
class TlsServer {
 public:
  TlsServer(const std::string& certificate_pem, const std::string& key_pem);
  ~TlsServer();
  [[nodiscard]] std::uint16_t port() const { return port_; }

  /// After the connection ended: what was seen of the client.
  struct Seen {
    bool handshake = false;
    std::string client;  ///< subject's CN of its certificate; empty: none
    std::string sni;
  };
  const Seen& wait();

 private:
  void serve(std::string certificate_pem, std::string key_pem);

  std::uint16_t port_ = 0;  // set while listener_ is made
  Fd listener_;
  Seen seen_;
  std::thread thread_;
};

/// A port of 127.0.0.1 with a listener that says nothing, or (`refusing`) with nobody behind it.
struct DeadPort {
  explicit DeadPort(bool refusing);
  std::uint16_t port = 0;  // set while `socket` is made
  Fd socket;
};

}  // namespace holdfast::upstream
