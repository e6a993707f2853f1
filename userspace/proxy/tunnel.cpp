#include "proxy/tunnel.h"

#include <memory>

#include "holdfast/base/deadline.h"
#include "holdfast/http/upgrade.h"
#include "read/offline_answer.h"

namespace holdfast::proxy {
namespace {

using namespace std::chrono_literals;
using request::Request;
using request::ThreadContext;
using telemetry::Source;

// The API server answers when the kubelet, or the pod behind a proxy path, did; it gives requests
// that are not long-running this time itself (--request-timeout).
constexpr auto kAnswerLimit = 60s;

Task<> refuse(ThreadContext& thread, std::shared_ptr<Request> request) {
  co_await request->reply.status(request->error_encoding(), read::link_down(thread),
                                 Source::kLocal);
}

// Closing the connection ends whatever it is that we wait for.
Task<Result<http::UpgradeOutcome>> ask(std::shared_ptr<http::Transport> server,
                                       std::shared_ptr<Request> request) {
  const Deadline deadline{server->executor(), kAnswerLimit, [server] { server->close(); }};
  co_return co_await http::upgrade_request(server, request::upstream_head(request->head()));
}

}  // namespace

Task<> serve_tunnel(ThreadContext& thread, std::shared_ptr<Request> request) {
  if (thread.services.link.state() == upstream::Link::kOffline) {
    co_await refuse(thread, request);
    co_return;
  }
  if (!request::may_go_up(*request)) co_return;
  auto dialed = co_await thread.pool.dial_http1(request->client->identity, request->client->sticky);
  if (!dialed) {
    co_await refuse(thread, request);
    co_return;
  }
  const auto server = std::move(*dialed);
  auto outcome = co_await ask(server, request);
  if (!outcome) {
    // What was asked for may be running already: a Status would make kubectl ask again (it falls
    // back from WebSocket to SPDY on any answer but 101), a broken connection does not.
    request->reply.abort();
    co_return;
  }
  request::note_credential(thread.services.identities, request->credential, outcome->head.status);
  if (outcome->head.status == 101) {
    auto client = co_await request->exchange->upgrade(std::move(outcome->head));
    if (!client) {
      server->close();
      co_return;
    }
    request->reply.tunnelled();
    const auto totals = co_await http::tunnel(std::move(*client), std::move(outcome->transport));
    request->reply.add_bytes(totals.to_client);
    co_return;
  }
  // The API server said no: its answer is passed on like any other.
  if (!co_await request->reply.head(std::move(outcome->head), false, Source::kTunnel)) co_return;
  while (true) {
    auto piece = co_await outcome->body->read();
    if (!piece) {
      request->reply.abort();
      co_return;
    }
    if (piece->empty()) break;
    if (!co_await request->reply.write(std::move(*piece), false)) co_return;
  }
  co_await request->reply.write({}, true);
}

}  // namespace holdfast::proxy
