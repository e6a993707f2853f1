#include "proxy/dispatch.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <string>
#include <vector>

#include "holdfast/kube/status_reasons.h"
#include "holdfast/policy/decision.h"
#include "lease/steer.h"
#include "proxy/forward.h"
#include "proxy/tunnel.h"
#include "read/offline_answer.h"
#include "read/read.h"
#include "watch/watch.h"
#include "writes/offline_write.h"

namespace holdfast::proxy {
namespace {

using namespace std::chrono_literals;
using request::Request;
using request::ThreadContext;

constexpr auto kReviewLimit = 2s;

// Impersonate-* headers in one order: part of who the principal is.
std::string impersonation(const http::Headers& headers) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : headers) {
    if (name.starts_with("impersonate-")) lines.push_back(name + ": " + value);
  }
  std::ranges::sort(lines);
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

// What a kubelet acts on: losing an event of these could make it kill or revive a container.
bool acted_on_by_kubelet(const kube::GroupVersionResource& gvr) {
  return gvr.group.empty() && (gvr.resource == "pods" || gvr.resource == "nodes" ||
                               gvr.resource == "secrets" || gvr.resource == "configmaps");
}

cache::RecordOptions record_options(const Request& request, policy::Action action) {
  cache::RecordOptions options;
  if (action != policy::Action::kCache) options.residence = cache::Residence::kMemory;
  if (request.principal) {
    options.node_component = request.principal->is_node_component();
    if (request.principal->is_node() && acted_on_by_kubelet(request.attributes.gvr)) {
      options.durability = cache::Durability::kWriteThrough;
    }
  }
  return options;
}

policy::RequestContext policy_context(const ThreadContext& thread, const Request& request) {
  const auto& process = request.client->process;
  policy::RequestContext context{
      .executable = process.executable,
      .user_agent = request.head().headers.get("user-agent"),
      .upgrade = !request.head().upgrade.empty(),
      .key_sealed = thread.services.store.key_place() == cache::KeyPlace::kTpm};
  if (request.principal) {
    context.username = request.principal->username;
    context.node_component = request.principal->is_node_component();
  }
  if (const auto& pod = request.client->pod) {
    context.pod_namespace = pod->ns;
    context.pod = pod->name;
  }
  return context;
}

bool rules_name_principals(const config::Config& config) {
  return std::ranges::any_of(config.cache.rules,
                             [](const config::CacheRule& rule) { return rule.principal != "*"; });
}

bool is_write(kube::Verb verb) {
  return verb == kube::Verb::kCreate || verb == kube::Verb::kUpdate || verb == kube::Verb::kPatch ||
         verb == kube::Verb::kDelete;
}

// How a read of the same object may be remembered: what a write shows of it goes no other way.
policy::Action action_of_read(const ThreadContext& thread, const Request& request) {
  const auto& config = *thread.config;
  // A rule may speak of a principal that is not known yet.
  if (!request.principal && rules_name_principals(config)) return policy::Action::kMemory;
  auto read = request.attributes;
  read.verb = kube::Verb::kGet;
  read.subresource.clear();
  return policy::decide(read, policy_context(thread, request), config).action;
}

Task<> hand_over(ThreadContext& thread, std::shared_ptr<Request> request) {
  if (!request->client->may_forward && thread.services.link.state() != upstream::Link::kOffline) {
    // The link is back: the next connection is judged before it is served.
    request->client->close();
    co_return;
  }
  // Who asks is known before the decision where that depends on it: a certificate decides what may
  // be on disk and how carefully, and rules may name principals. (The principal is forgotten again
  // below: whether it may read what is cached is decided anew.)
  const bool matters = request->credential.kind == identity::Credential::Kind::kCertificate ||
                       rules_name_principals(*thread.config);
  const bool away = thread.services.link.state() == upstream::Link::kOffline;
  // Other writes, Leases and tunnels do not wait for that: what is not known is kept more
  // carefully.
  const bool kept =
      (request->attributes.is_read() || policy::is_token_request(request->attributes)) &&
      request->head().upgrade.empty();
  if (matters && kept && !away && request->client->may_forward) {
    request->principal = co_await thread.principals.resolve(request, kReviewLimit);
  }
  // Where the API server does not say in time: who it was by the last acceptance.
  if (matters && !request->principal && (kept || away)) {
    auto who = read::offline_principal(thread, *request);
    if (auto* known = std::get_if<identity::Principal>(&who))
      request->principal = std::move(*known);
  }
  if (!request->principal) {
    request->principal = thread.services.identities.find(request->credential);
    if (request->principal) {
      request->principal = identity::with_impersonation(std::move(*request->principal),
                                                        request->attributes.impersonation);
    }
  }
  const auto decision =
      policy::decide(request->attributes, policy_context(thread, *request), *thread.config);
  // A TokenRequest shows no object: what is kept of it was decided for itself.
  const bool shows_object =
      is_write(request->attributes.verb) && !policy::is_token_request(request->attributes);
  request->record =
      record_options(*request, shows_object ? action_of_read(thread, *request) : decision.action);
  request->principal.reset();
  const auto offline = writes::OfflineWrite::of(thread, request, decision.action);

  switch (decision.action) {
    case policy::Action::kTunnel:
      co_await serve_tunnel(thread, request);
      break;
    case policy::Action::kCache:
    case policy::Action::kMemory: {
      const bool watch = request->attributes.verb == kube::Verb::kWatch;
      // Documents are kept as they come, whatever their form.
      const bool readable = !request->accept.empty() || !request->attributes.resource_request;
      if (!readable || request->head().method != "GET") {
        co_await forward(thread, request, offline.get());
      } else if (watch) {
        co_await watch::serve_watch(thread, request);
      } else {
        co_await read::serve_read(thread, request);
      }
      break;
    }
    case policy::Action::kDeny: {
      kube::Status status{
          .code = 403, .reason = "Forbidden", .message = "refused by this node's policy"};
      co_await request->reply.status(request->error_encoding(), std::move(status),
                                     telemetry::Source::kLocal);
      break;
    }
    case policy::Action::kLease:
      if (lease::concerns_one_lease(request->attributes)) {
        co_await lease::serve_lease(thread, request);
      } else {
        co_await forward(thread, request);
      }
      break;
    case policy::Action::kForward:
    case policy::Action::kLocal:
      co_await forward(thread, request, offline.get());
      break;
  }
}

// A pod-bound token that the API server accepted names the pod that its connection's cgroup only
// gives a UID for.
void learn_pod(ThreadContext& thread, Request& request) {
  auto& client = *request.client;
  if (client.pod || request.credential.kind != identity::Credential::Kind::kBearer) return;
  if (!thread.services.identities.find(request.credential)) return;
  const auto claims = identity::read_claims(request.credential.token);
  if (!claims || claims->pod_uid.empty()) return;
  identity::PodName name{.ns = claims->ns, .name = claims->pod};
  thread.services.pods.learn(claims->pod_uid, name);
  if (claims->pod_uid == client.process.container.pod_uid) client.pod = std::move(name);
}

void account(ThreadContext& thread, Request& request) {
  learn_pod(thread, request);
  const auto& reply = request.reply;
  const auto& attributes = request.attributes;
  auto& services = thread.services;
  // A watch and a tunnel last as long as their client likes: what is measured ends with the head.
  const bool lasting =
      attributes.verb == kube::Verb::kWatch || reply.source() == telemetry::Source::kTunnel;
  const auto end = lasting && reply.started() ? reply.head_sent() : SteadyClock::now();
  const auto duration = end - request.started;
  services.metrics.request(attributes.verb, attributes.gvr.resource, reply.source(),
                           static_cast<int>(reply.code()), duration);
  if (!services.trace.wanted()) return;
  const auto& client = *request.client;
  auto principal = services.identities.find(request.credential);
  telemetry::RequestEvent event{
      .time = services.clock.wall(),
      .connection = client.connection,
      .principal = principal ? principal->username : std::string{},
      .verb = std::string{kube::to_string(attributes.verb)},
      .resource = attributes.resource_request ? attributes.gvr.resource : attributes.path,
      .ns = attributes.ns,
      .name = attributes.name,
      .code = static_cast<int>(reply.code()),
      .source = reply.source(),
      .duration = std::chrono::duration_cast<std::chrono::microseconds>(duration),
      .bytes = reply.bytes(),
      .comm = client.process.comm,
      .executable = client.process.executable};
  if (client.pod) {
    event.pod =
        telemetry::PodRef{client.pod->ns, client.pod->name, client.process.container.pod_uid};
  }
  services.trace.publish(std::move(event));
}

// Counts a request also when its client leaves in the middle of it.
class Account {
 public:
  Account(ThreadContext& thread, std::shared_ptr<Request> request)
      : thread_{thread}, request_{std::move(request)} {}
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;
  ~Account() { account(thread_, *request_); }

 private:
  ThreadContext& thread_;
  std::shared_ptr<Request> request_;
};

}  // namespace

Task<> dispatch(ThreadContext& thread, std::shared_ptr<http::Exchange> exchange) {
  auto client = std::static_pointer_cast<request::Client>(exchange->context());
  const auto& head = exchange->request();
  auto attributes = kube::parse_request(head.method, head.target);
  request::Reply reply{exchange};
  auto accept = kube::parse_accept(head.headers.joined("accept"));
  auto request = std::make_shared<Request>(Request{
      .exchange = exchange,
      .client = client,
      .reply = std::move(reply),
      .attributes = attributes ? std::move(*attributes) : kube::RequestAttributes{},
      .accept = std::move(accept),
      .credential = identity::credential_of(head.headers.get("authorization"), client->certificate),
      .principal = {},
      .record = {},
      .started = SteadyClock::now()});
  const Account at_the_end{thread, request};
  if (!attributes) {
    // What we can't read the API server may (an aggregated one has options of its own), and only it
    // knows who may be told.
    if (thread.services.link.state() != upstream::Link::kOffline) {
      if (head.upgrade.empty()) {
        co_await forward(thread, request);
      } else {
        co_await serve_tunnel(thread, request);
      }
      co_return;
    }
    auto status = kube::bad_request(attributes.error().message);
    co_await request->reply.status(request->error_encoding(), std::move(status),
                                   telemetry::Source::kLocal);
    co_return;
  }
  request->attributes.impersonation = impersonation(head.headers);
  if (client->identity) {
    request->credential.certificate_not_after =
        std::chrono::system_clock::to_time_t(client->identity->not_after());
  }
  co_await hand_over(thread, request);
}

}  // namespace holdfast::proxy
