#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/cache/query.h"
#include "holdfast/http/exchange.h"
#include "holdfast/identity/credential.h"
#include "holdfast/identity/principal.h"
#include "holdfast/kube/media_type.h"
#include "holdfast/kube/request_attributes.h"
#include "request/client.h"
#include "request/reply.h"

namespace holdfast::request {

/// One request on its way through the steps, with what each of them found out. Shared, because an
/// attempt upstream may outlive the answer from the cache by a moment.
struct Request {
  std::shared_ptr<http::Exchange> exchange;
  std::shared_ptr<Client> client;
  Reply reply;
  kube::RequestAttributes attributes;
  std::vector<kube::AcceptChoice> accept;  ///< best first; empty: nothing we can parse
  identity::Credential credential;
  std::optional<identity::Principal> principal;  ///< once known
  cache::RecordOptions record;
  SteadyClock::time_point started;

  [[nodiscard]] const http::RequestHead& head() const { return exchange->request(); }
  /// The encoding in which an error of our own is told.
  [[nodiscard]] kube::Encoding error_encoding() const;
};

/// Asked right before a request goes upstream: a connection whose network namespace was not judged
/// is closed instead (the next one is judged first). The link may have come back at any moment.
bool may_go_up(const Request& request);

/// The acceptable representations in the client's order, for the store.
std::vector<kube::Representation> representations(const Request& request);

/// What this request asks for, as `principal` in `representation`. kInvalidArgument when a selector
/// can't be parsed (the API server will say so).
Result<cache::Query> query_of(const Request& request, const identity::Principal& principal,
                              kube::Representation representation);

/// What an upstream status says of the credential: 401 refuses it, what only comes from behind the
/// API server's authentication accepts it. Others say nothing: 429 and 5xx may come from a gateway,
/// 400 is also given before authentication (WithRequestDeadline).
void note_credential(identity::Registry& registry, const identity::Credential& credential,
                     unsigned status);

/// The request as it goes upstream: X-Remote-* gone, whoever sent them (front-proxy headers are for
/// the API server's aggregation layer alone).
http::RequestHead upstream_head(const http::RequestHead& head);

}  // namespace holdfast::request
