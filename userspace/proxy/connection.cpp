#include "proxy/connection.h"

#include <openssl/ssl.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/error.hpp>
#include <map>
#include <utility>

#include "holdfast/base/deadline.h"
#include "holdfast/http/tcp.h"
#include "holdfast/policy/decision.h"
#include "holdfast/telemetry/log.h"
#include "holdfast/tls/stream.h"
#include "proxy/client_key.h"
#include "proxy/dispatch.h"

namespace holdfast::proxy {
namespace {

using namespace std::chrono_literals;
using kernel::NetnsVerdict;
using telemetry::ConnectionReason;
using telemetry::Verdict;

constexpr auto kHelloTimeout = 10s;
constexpr auto kHandshakeTimeout = 10s;
constexpr auto kAdmissionTimeout = 5s;
constexpr auto kConnectTimeout = 10s;
constexpr auto kTastedFor = 5s;  // a client that leaves sooner without a request did not like us

std::atomic<std::uint64_t> next_connection{1};

ConnectionReason label_of(tls::Reason reason) {
  switch (reason) {
    case tls::Reason::kNone:
      return ConnectionReason::kNone;
    case tls::Reason::kNotTls:
    case tls::Reason::kMalformedHello:
    case tls::Reason::kOtherProtocol:
      return ConnectionReason::kNotTls;
    case tls::Reason::kOtherName:
      return ConnectionReason::kOtherName;
    case tls::Reason::kNoCertificate:
      return ConnectionReason::kNoCertificate;
    case tls::Reason::kChainMismatch:
      return ConnectionReason::kChainMismatch;
    case tls::Reason::kHandshakeFailed:
      return ConnectionReason::kHandshakeFailed;
    case tls::Reason::kUnknownClientCert:
      return ConnectionReason::kUnknownCertificate;
    case tls::Reason::kRule:
      return ConnectionReason::kRuleSplice;
  }
  return ConnectionReason::kOther;
}

// Closing with RST makes the client connect again at once, and directly where the kernel says so.
void reset(http::TcpTransport& transport) {
  transport.close();
}

// A connection in the metrics, from when it is known to be a client's until it ends.
class ConnectionCount {
 public:
  ConnectionCount(telemetry::Metrics& metrics, Verdict verdict, ConnectionReason reason)
      : metrics_{metrics}, verdict_{verdict}, reason_{reason} {}
  ConnectionCount(const ConnectionCount&) = delete;
  ConnectionCount& operator=(const ConnectionCount&) = delete;
  ~ConnectionCount() {
    if (counted_) metrics_.connection_closed(verdict_);
  }
  void count() {
    if (std::exchange(counted_, true)) return;
    metrics_.connection(verdict_, reason_);
    metrics_.connection_opened(verdict_);
  }

 private:
  telemetry::Metrics& metrics_;
  const Verdict verdict_;
  const ConnectionReason reason_;
  bool counted_ = false;
};

std::optional<Endpoint> target_of(const request::Client& client) {
  return client.tag ? std::optional{client.tag->original} : std::nullopt;
}

Task<> splice(ConnectionServices& services, std::shared_ptr<http::TcpTransport> transport,
              Endpoint to, ConnectionReason reason) {
  ConnectionCount counted{services.thread.services.metrics, Verdict::kSpliced, reason};
  counted.count();
  auto server =
      co_await http::connect_tcp(services.thread.executor, to, services.own_mark, kConnectTimeout);
  if (!server) {
    // In order: a reset would look as if this node's proxy were broken, and open the workload's
    // circuit. That nobody can be reached is not its doing.
    co_await http::hang_up(transport);
    co_return;
  }
  co_await http::tunnel(transport, *server);
}

Task<Result<tls::PeekResult>> peek_hello(std::shared_ptr<http::TcpTransport> transport) {
  tls::PeekResult peek;
  const auto deadline = SteadyClock::now() + kHelloTimeout;
  while (peek.status == tls::PeekStatus::kNeedMore) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now());
    auto bytes = co_await transport->peek(peek.need, std::max(left, 1ms));
    if (!bytes) co_return bytes.error();
    const bool ended = bytes->size() < peek.need;
    peek = tls::parse_client_hello(bytes->view());
    if (ended && peek.status == tls::PeekStatus::kNeedMore) co_return make_error(Errc::kClosed);
  }
  co_return peek;
}

Task<Result<void>> handshake(ConnectionServices& services, std::shared_ptr<tls::Stream> stream) {
  // The deadline closes the stream: whatever the handshake waits for then ends.
  const Deadline deadline{services.thread.executor, kHandshakeTimeout,
                          [stream] { stream->close(); }};
  co_return co_await stream->handshake();
}

// Answers the agent's own self-test, and everything else through dispatch.
Task<> handle(ConnectionServices& services, std::shared_ptr<http::Exchange> exchange) {
  if (exchange->request().target == services.self_test_path) {
    http::ResponseHead head{.status = 200};
    head.headers.add("content-type", "text/plain");
    if (co_await exchange->respond(std::move(head), false)) {
      co_await exchange->write(Slice::copy("ok"), true);
    }
    co_return;
  }
  co_await dispatch(services.thread, exchange);
}

std::shared_ptr<request::Client> make_client(ConnectionServices& services,
                                             const http::TcpTransport& transport) {
  auto client = std::make_shared<request::Client>();
  client->connection = next_connection.fetch_add(1, std::memory_order_relaxed);
  client->peer = transport.peer();
  if (services.take_tag) client->tag = services.take_tag(transport.peer(), transport.local());
  if (client->tag) {
    auto process = identity::read_process(static_cast<std::uint32_t>(client->tag->pid));
    if (process) client->process = std::move(*process);
    client->pod = services.thread.services.pods.find(client->process.container.pod_uid);
  }
  return client;
}

// A process of this node that dials the listener has the listener's own address.
bool is_ourselves(const http::TcpTransport& transport) {
  return transport.peer().address == transport.local().address;
}

tls::ClientKey key_of(const request::Client& client) {
  const auto target = target_of(client).value_or(Endpoint{});
  auto key = client_key(client.process, target);
  // Gone already: only the number is known, which means nothing after a reboot.
  if (key.workload.empty() && client.tag) {
    key.workload = "cgroup " + std::to_string(static_cast<std::uint64_t>(client.tag->cgroup_id));
  }
  return key;
}

// The same key pair object for the same certificate: the pool's connections are shared by it.
Result<upstream::Identity> identity_for(ConnectionServices& services,
                                        const tls::ClientIdentity& known) {
  auto& all = services.identities;
  if (const auto it = all.find(known.fingerprint); it != all.end()) {
    if (auto in_use = it->second.lock()) return in_use;
  }
  auto loaded = upstream::ClientIdentity::from_pem(known.chain_pem, known.key_pem);
  if (!loaded) return loaded.error();
  std::erase_if(all, [](const auto& item) { return item.second.expired(); });
  all[known.fingerprint] = *loaded;
  return *loaded;
}

Task<> terminate(ConnectionServices& services, std::shared_ptr<http::TcpTransport> transport,
                 std::shared_ptr<request::Client> client) {
  auto& terminator = services.terminator;
  const auto key = key_of(*client);
  // Untagged clients share one key, the self-test among them: nothing is remembered of them.
  const auto give_up = [&](tls::Reason reason) {
    if (client->tag) terminator.handshake_failed(key, reason);
    reset(*transport);
  };
  SSL* ssl = terminator.new_server_ssl(target_of(*client));
  if (!ssl) {
    reset(*transport);
    co_return;
  }
  std::optional<tls::Visits::Visit> visit;
  if (client->tag) {
    visit.emplace(terminator.visits(), tls::Visits::Visitor{client->tag->pid, key.target},
                  SteadyClock::now());
  }
  auto stream = tls::Stream::create(transport, ssl);
  if (auto done = co_await handshake(services, stream); !done) {
    // Gone in the middle, but not alone: it may have no use for this connection any more.
    const bool hung_up = done.error().code != make_error_code(Errc::kProtocol);
    if (hung_up && visit && !visit->is_refusal()) {
      reset(*transport);
      co_return;
    }
    // Fatal alert, or gone in the middle: this workload gets the real server from now on.
    telemetry::log(spdlog::level::info,
                   "a client refused this node's certificate: spliced from now on",
                   {{"executable", key.executable},
                    {"peer", client->peer.to_string()},
                    {"error", done.error().to_string()}});
    give_up(tls::Reason::kHandshakeFailed);
    co_return;
  }
  if (const auto certificate = terminator.peer_certificate(stream->native())) {
    Result<upstream::Identity> identity = make_error(Errc::kNotFound);
    if (certificate->identity) identity = identity_for(services, *certificate->identity);
    if (!identity) {
      telemetry::log(spdlog::level::info,
                     "a client presented a certificate whose key is not on this node: spliced from "
                     "now on",
                     {{"executable", key.executable},
                      {"workload", key.workload},
                      {"peer", client->peer.to_string()},
                      {"certificate", certificate->fingerprint}});
      if (client->tag) terminator.certificate_unknown(key, certificate->fingerprint);
      reset(*transport);
      co_return;
    }
    client->certificate = certificate->fingerprint;
    client->identity = std::move(*identity);
  }
  // The self-test's own connections are untagged, and are no client's.
  ConnectionCount counted{services.thread.services.metrics, Verdict::kRedirected,
                          ConnectionReason::kNone};
  if (client->tag) counted.count();
  const auto began = SteadyClock::now();
  http::Handler handler = [&](std::shared_ptr<http::Exchange> exchange) {
    if (exchange->request().target != services.self_test_path) counted.count();
    if (visit && visit->served(SteadyClock::now())) terminator.handshake_succeeded(key);
    return handle(services, std::move(exchange));
  };
  auto connection = http::ServerConnection::create(
      stream, stream->alpn(), {.limits = {}, .handler = std::move(handler), .context = client});
  client->close = [weak = std::weak_ptr{connection}] {
    if (const auto alive = weak.lock()) alive->close();
  };
  if (services.on_serving) services.on_serving(connection);
  co_await connection->run();
  const bool at_once = SteadyClock::now() - began < kTastedFor;
  if (visit && at_once && !services.draining && visit->is_refusal()) {
    // Closed before the first request: a pinned key that is checked after the handshake.
    terminator.handshake_failed(key, tls::Reason::kHandshakeFailed);
  }
}

}  // namespace

Task<> serve_connection(ConnectionServices& services, Fd socket) {
  auto adopted = http::TcpTransport::adopt(services.thread.executor, std::move(socket));
  if (!adopted) co_return;
  const auto transport = std::move(*adopted);
  const auto client = make_client(services, *transport);
  auto action = kernel::Action::kRedirect;
  if (client->tag) {
    const auto verdict =
        co_await services.admission.verdict(*client->tag, client->peer, kAdmissionTimeout);
    const bool offline = services.thread.services.link.state() == upstream::Link::kOffline;
    if (verdict != NetnsVerdict::kAdmitted && !(verdict == NetnsVerdict::kUnknown && offline)) {
      reset(*transport);
      co_return;
    }
    client->may_forward = verdict == NetnsVerdict::kAdmitted;
    action = client->tag->action;
    const policy::ProcessContext process{
        .executable = client->process.executable,
        .pod_namespace = client->pod ? std::string_view{client->pod->ns} : std::string_view{},
        .pod = client->pod ? std::string_view{client->pod->name} : std::string_view{}};
    const auto rule = policy::intercept_action(process, services.thread.config->intercept.rules);
    if (rule != config::InterceptAction::kRedirect) action = kernel::Action::kSplice;
    if (rule == config::InterceptAction::kBypass && services.on_bypass) {
      services.on_bypass(client->tag->pid);
    }
  }
  if (!client->tag && services.take_tag && !is_ourselves(*transport)) {
    const bool admitted = co_await services.admission.admits(client->peer, kAdmissionTimeout);
    if (!admitted) {
      reset(*transport);
      co_return;
    }
  }
  tls::PeekDecision decision{.verdict = tls::Verdict::kSplice, .reason = tls::Reason::kRule};
  if (action == kernel::Action::kRedirect) {
    const auto peek = co_await peek_hello(transport);
    if (!peek) {
      reset(*transport);
      co_return;
    }
    decision = services.terminator.decide(*peek, target_of(*client), key_of(*client));
  }
  if (decision.verdict == tls::Verdict::kTerminate) {
    co_await terminate(services, transport, client);
    co_return;
  }
  const auto to = target_of(*client);
  // Nobody knows where an untagged connection wanted to go.
  if (!to || !client->may_forward) {
    reset(*transport);
    co_return;
  }
  const auto reason = label_of(decision.reason);
  if (services.on_splice) services.on_splice(*client, reason);
  co_await splice(services, transport, *to, reason);
}

}  // namespace holdfast::proxy
