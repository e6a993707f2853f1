#include "tls_server.h"

#include <netinet/in.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <stdexcept>

#include "upstream/openssl.h"

namespace holdfast::upstream {
namespace {

Fd bind_any(std::uint16_t& port) {
  Fd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error{"bind"};
  }
  port = ntohs(address.sin_port);
  return fd;
}

int choose_first(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered,
                 unsigned, void*) {
  *size = offered[0];
  *out = offered + 1;
  return SSL_TLSEXT_ERR_OK;
}

int accept_any(X509_STORE_CTX*, void*) {
  return 1;
}

}  // namespace

TlsServer::TlsServer(const std::string& certificate_pem, const std::string& key_pem)
    : listener_{bind_any(port_)} {
  if (::listen(listener_.get(), 1) != 0) throw std::runtime_error{"listen"};
  thread_ = std::thread{&TlsServer::serve, this, certificate_pem, key_pem};
}

TlsServer::~TlsServer() {
  wait();
}

const TlsServer::Seen& TlsServer::wait() {
  ::shutdown(listener_.get(), SHUT_RDWR);  // ends an accept that nobody came to
  if (thread_.joinable()) thread_.join();
  return seen_;
}

void TlsServer::serve(std::string certificate_pem, std::string key_pem) {
  // A client that leaves early must not end the process.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);

  const Fd client{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  if (!client) return;
  const ContextPtr context{SSL_CTX_new(TLS_server_method())};
  const auto certificate_bio = memory_bio(certificate_pem);
  const auto key_bio = memory_bio(key_pem);
  const X509Ptr certificate{PEM_read_bio_X509(certificate_bio.get(), nullptr, nullptr, nullptr)};
  const KeyPtr key{PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr)};
  SSL_CTX_use_certificate(context.get(), certificate.get());
  SSL_CTX_use_PrivateKey(context.get(), key.get());
  SSL_CTX_set_num_tickets(context.get(), 0);  // nobody waits for them here
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), accept_any, nullptr);
  SSL_CTX_set_alpn_select_cb(context.get(), choose_first, nullptr);
  const SslPtr ssl{SSL_new(context.get())};
  SSL_set_fd(ssl.get(), client.get());
  seen_.handshake = SSL_accept(ssl.get()) == 1;
  if (const char* name = SSL_get_servername(ssl.get(), TLSEXT_NAMETYPE_host_name)) {
    seen_.sni = name;
  }
  if (X509* peer = SSL_get0_peer_certificate(ssl.get())) {
    std::array<char, 256> text{};
    X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, text.data(),
                              text.size());
    seen_.client = text.data();
  }
  std::array<char, 64> block;
  while (SSL_read(ssl.get(), block.data(), block.size()) > 0) {
  }
  ERR_clear_error();
}

DeadPort::DeadPort(bool refusing) : socket{bind_any(port)} {
  if (!refusing && ::listen(socket.get(), 8) != 0) throw std::runtime_error{"listen"};
}

}  // namespace holdfast::upstream
