#include "read/offline_answer.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "holdfast/kube/status_reasons.h"
#include "read/list_body.h"
#include "read/metadata_only.h"
#include "read/tee.h"
#include "read/version_rules.h"
#include "request/denials.h"

namespace holdfast::read {
namespace {

using request::Request;
using request::ThreadContext;
using telemetry::CacheResult;

constexpr std::uint32_t kRetryAfterSeconds = 5;

std::string last_up(ThreadContext& thread) {
  const auto when = thread.services.link.snapshot().last_online;
  if (!when) return "the API server was not reached since this node agent started";
  const auto seconds = std::chrono::floor<std::chrono::seconds>(*when);
  return fmt::format("the link to the API server was last up at {:%FT%TZ}", fmt::gmtime(seconds));
}

kube::Status unavailable(std::string message) {
  return kube::unavailable(std::move(message), kRetryAfterSeconds);
}

std::string what(const kube::RequestAttributes& attributes) {
  if (!attributes.resource_request) return attributes.path;
  std::string text = attributes.gvr.resource;
  if (!attributes.gvr.group.empty()) text += "." + attributes.gvr.group;
  if (!attributes.name.empty()) text += fmt::format(" \"{}\"", attributes.name);
  if (!attributes.ns.empty()) text += fmt::format(" in namespace \"{}\"", attributes.ns);
  return text;
}

// What is proven wrong is told as the API server tells it, with our reason behind.
kube::Status unauthorized(const std::string& reason) {
  auto status = kube::unauthorized();
  status.message += ": " + reason;
  return status;
}

// As the API server said it.
kube::Status forbidden(const Request& request, const request::Denials::Denial& denial) {
  const auto when = std::chrono::floor<std::chrono::seconds>(denial.at);
  const auto& attributes = request.attributes;
  return {
      .code = 403,
      .reason = "Forbidden",
      .message = fmt::format("{} (the API server said so at {:%FT%TZ}; it can't be reached now)",
                             denial.message, fmt::gmtime(when)),
      .kind = attributes.gvr.resource,
      .name = attributes.name,
      .group = attributes.gvr.group};
}

// Representations other than Tables: what a client that asked for a Table accepts beside it.
std::vector<kube::Representation> listable(const Request& request) {
  auto all = request::representations(request);
  std::erase_if(all, [](const kube::Representation& representation) {
    return representation.transform == kube::Transform::kTable;
  });
  return all;
}

http::ResponseHead answer_head(std::string content_type) {
  http::ResponseHead head{.status = 200};
  head.headers.add("content-type", std::move(content_type));
  head.headers.add("cache-control", "no-cache, private");
  return head;
}

Task<> send_object(std::shared_ptr<Request> request, cache::ObjectAnswer answer) {
  const auto& object = answer.object;
  auto body = Slice::own(kube::render_object(answer.encoding, object.type, object.body.view()));
  auto head = answer_head(kube::content_type(answer.encoding, false));
  head.headers.add("content-length", std::to_string(body.size()));
  if (!co_await request->reply.head(std::move(head), false, telemetry::Source::kCache)) co_return;
  co_await request->reply.write(std::move(body), true);
}

Task<> send_document(ThreadContext& thread, std::shared_ptr<Request> request,
                     cache::Document document) {
  const auto condition = request->head().headers.get("if-none-match");
  if (!document.etag.empty() && condition == document.etag) {
    http::ResponseHead head{.status = 304};
    head.headers.add("etag", document.etag);
    co_await request->reply.head(std::move(head), true, telemetry::Source::kCache);
    co_return;
  }
  auto head = answer_head(document.content_type);
  if (!document.etag.empty()) head.headers.add("etag", document.etag);
  head.headers.add("content-length", std::to_string(document.body.size()));
  // kubectl's users see how old a Table is; controllers' logs, which print warnings too, stay
  // quiet.
  if (request->attributes.resource_request) {
    const auto age = std::chrono::duration_cast<std::chrono::seconds>(thread.services.clock.wall() -
                                                                      document.shown_at);
    head.headers.add("warning", fmt::format("299 - \"the API server is away: this is what it said "
                                            "{} s ago\"",
                                            std::max<std::int64_t>(age.count(), 0)));
  }
  if (!co_await request->reply.head(std::move(head), document.body.empty(),
                                    telemetry::Source::kCache)) {
    co_return;
  }
  if (!document.body.empty()) co_await request->reply.write(std::move(document.body), true);
}

Task<> send_list(ThreadContext& thread, std::shared_ptr<Request> request,
                 std::unique_ptr<cache::ListSnapshot> snapshot) {
  auto head = answer_head(kube::content_type(snapshot->encoding(), false));
  if (!co_await request->reply.head(std::move(head), false, telemetry::Source::kCache)) co_return;
  co_await write_list(thread, request, std::move(snapshot));
}

}  // namespace

kube::Status version_status(VersionVerdict verdict, const VersionDemand& demand,
                            kube::ResourceVersion have, ThreadContext& thread) {
  switch (verdict) {
    case VersionVerdict::kTooLarge:
      return kube::too_large_resource_version(demand.version, have);
    case VersionVerdict::kExpired:
      return kube::expired(
          "the resourceVersion or continue token asked for is not in this node's cache; " +
          last_up(thread));
    default:
      if (demand.kind == VersionDemand::Kind::kInvalid) {
        return kube::bad_request("resourceVersion is not a number");
      }
      return unavailable(
          "consistent reads are refused while the API server is away "
          "(cache.consistent_reads); " +
          last_up(thread));
  }
}

std::optional<kube::Status> refused_before(ThreadContext& thread, const Request& request) {
  if (!request.principal) return std::nullopt;
  const auto& services = thread.services;
  const auto denial =
      services.denials.find(request.principal->id(), request.attributes, services.store.era());
  if (!denial) return std::nullopt;
  return forbidden(request, *denial);
}

kube::Status not_served(ThreadContext& thread, const Request& request, cache::Outcome outcome) {
  if (auto refusal = refused_before(thread, request)) return std::move(*refusal);
  const auto& who = request.principal ? request.principal->username : std::string{"this client"};
  const auto asked = what(request.attributes);
  std::string why;
  switch (outcome) {
    case cache::Outcome::kBroken:
      why = fmt::format("what this node knows of {} is behind what {} has seen of it", asked, who);
      break;
    case cache::Outcome::kUnsettled:
      why = fmt::format("this node's disk is still busy with what {} has seen of {}", who, asked);
      break;
    default:
      why =
          fmt::format("{} was never shown to {} while the API server could be reached", asked, who);
  }
  auto status = unavailable(why + "; " + last_up(thread));
  status.kind = request.attributes.gvr.resource;
  status.group = request.attributes.gvr.group;
  status.name = request.attributes.name;
  return status;
}

kube::Status link_down(ThreadContext& thread) {
  return unavailable("the API server can't be reached from this node; " + last_up(thread));
}

std::variant<identity::Principal, kube::Status> offline_principal(ThreadContext& thread,
                                                                  const Request& request) {
  identity::TagHint tag{.tagged = request.client->tag.has_value(),
                        .pod_uid = request.client->process.container.pod_uid};
  if (!tag.tagged && request.credential.kind == identity::Credential::Kind::kBearer) {
    const auto claims = identity::read_claims(request.credential.token);
    tag.token_pod_known = claims && thread.services.pods.find(claims->pod_uid).has_value();
  }
  auto verdict = thread.services.identities.check_offline(request.credential, tag);
  using Kind = identity::OfflineVerdict::Kind;
  switch (verdict.kind) {
    case Kind::kKnown:
      return identity::with_impersonation(std::move(verdict.principal),
                                          request.attributes.impersonation);
    case Kind::kRejected:
      return unauthorized(verdict.reason);
    case Kind::kUnverifiable:
      break;
  }
  return unavailable(verdict.reason + "; " + last_up(thread));
}

OfflineAnswer OfflineAnswer::prepare(ThreadContext& thread, Request& request) {
  auto& metrics = thread.services.metrics;
  if (!request.principal) {
    auto who = offline_principal(thread, request);
    if (auto* status = std::get_if<kube::Status>(&who)) {
      metrics.cache_read(CacheResult::kDenied);
      return refuse(std::move(*status));
    }
    request.principal = std::get<identity::Principal>(std::move(who));
  }
  const auto& principal = *request.principal;
  if (keep_of(request) == Keep::kDocument) {
    // How old a document is, its resourceVersion included, is not known: only the demand counts.
    const auto demand = version_demand(request.attributes);
    if (request.attributes.resource_request && demand.kind == VersionDemand::Kind::kMostRecent &&
        thread.config->cache.consistent_reads == config::ConsistentReads::kRefuse) {
      return refuse(version_status(VersionVerdict::kRefuse, demand, 0, thread));
    }
    auto document = thread.services.store.document(principal.id(), document_key(request),
                                                   request.attributes.gvr);
    if (document) {
      metrics.cache_read(CacheResult::kHit);
      return {std::move(*document), true};
    }
  }
  if (request.attributes.resource_request && !listable(request).empty()) {
    auto query = request::query_of(request, principal, {});
    if (!query) {
      return refuse(kube::bad_request(query.error().message));
    }
    return request.attributes.verb == kube::Verb::kGet ? look_up_object(thread, request, *query)
                                                       : look_up_list(thread, request, *query);
  }
  metrics.cache_read(CacheResult::kMiss);
  return refuse(not_served(thread, request, cache::Outcome::kMiss));
}

OfflineAnswer OfflineAnswer::look_up_object(ThreadContext& thread, Request& request,
                                            const cache::Query& query) {
  auto& metrics = thread.services.metrics;
  const auto demand = version_demand(request.attributes);
  auto answer = find_object(thread.services.store, query, listable(request));
  switch (answer.outcome) {
    case cache::Outcome::kHit:
    case cache::Outcome::kDerived: {
      const auto have = std::max(answer.as_of, answer.object.meta.resource_version);
      const auto verdict = judge_version(
          demand, have, thread.config->cache.consistent_reads == config::ConsistentReads::kServe);
      if (verdict != VersionVerdict::kServe) {
        return refuse(version_status(verdict, demand, have, thread));
      }
      metrics.cache_read(answer.outcome == cache::Outcome::kHit ? CacheResult::kHit
                                                                : CacheResult::kDerived);
      return {std::move(answer), true};
    }
    case cache::Outcome::kAbsent: {
      const auto verdict =
          judge_version(demand, answer.as_of,
                        thread.config->cache.consistent_reads == config::ConsistentReads::kServe);
      if (verdict != VersionVerdict::kServe) {
        return refuse(version_status(verdict, demand, answer.as_of, thread));
      }
      metrics.cache_read(CacheResult::kDerived);
      return {kube::not_found(request.attributes.gvr, request.attributes.name), true};
    }
    case cache::Outcome::kMiss:
    case cache::Outcome::kBroken:
    case cache::Outcome::kUnsettled:
      break;
  }
  metrics.cache_read(CacheResult::kMiss);
  return refuse(not_served(thread, request, answer.outcome));
}

OfflineAnswer OfflineAnswer::look_up_list(ThreadContext& thread, Request& request,
                                          const cache::Query& query) {
  auto& metrics = thread.services.metrics;
  const auto demand = version_demand(request.attributes);
  if (demand.kind == VersionDemand::Kind::kContinue) {
    return refuse(version_status(VersionVerdict::kExpired, demand, 0, thread));
  }
  const auto accept = listable(request);
  auto& store = thread.services.store;
  auto answer = find_list(store, query, accept, demand.version);
  // Nothing that new: whether there is an older one decides between 504 and 503.
  if (!answer.snapshot && demand.version > 0) answer = find_list(store, query, accept, 0);
  if (!answer.snapshot) {
    metrics.cache_read(CacheResult::kMiss);
    return refuse(not_served(thread, request, answer.outcome));
  }
  const auto have = answer.snapshot->resource_version();
  const auto verdict = judge_version(
      demand, have, thread.config->cache.consistent_reads == config::ConsistentReads::kServe);
  if (verdict != VersionVerdict::kServe) {
    return refuse(version_status(verdict, demand, have, thread));
  }
  metrics.cache_read(answer.outcome == cache::Outcome::kHit ? CacheResult::kHit
                                                            : CacheResult::kDerived);
  return {std::move(answer.snapshot), true};
}

Task<> OfflineAnswer::send(ThreadContext& thread, std::shared_ptr<Request> request) {
  if (auto* status = std::get_if<kube::Status>(&content_)) {
    const auto source = certain_ ? telemetry::Source::kCache : telemetry::Source::kLocal;
    co_await request->reply.status(request->error_encoding(), std::move(*status), source);
  } else if (auto* object = std::get_if<cache::ObjectAnswer>(&content_)) {
    co_await send_object(request, std::move(*object));
  } else if (auto* document = std::get_if<cache::Document>(&content_)) {
    co_await send_document(thread, request, std::move(*document));
  } else {
    co_await send_list(thread, request, std::get<Snapshot>(std::move(content_)));
  }
}

}  // namespace holdfast::read
