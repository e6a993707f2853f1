#include "approver/mirror.h"

#include <algorithm>
#include <set>

#include "agent/chain_fetch.h"
#include "agent/discovery.h"
#include "agent/service_discovery.h"
#include "holdfast/telemetry/log.h"

namespace holdfast::approver {
namespace {

constexpr const char* kService = "/api/v1/namespaces/default/services/kubernetes";
constexpr const char* kSlice =
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
constexpr std::chrono::milliseconds kTimeout{3000};
constexpr std::uint32_t kNoMark = 0;  // not redirected here, and a mark would need CAP_NET_ADMIN

}  // namespace

Task<std::vector<Endpoint>> Mirror::addresses(upstream::ApiClient* client,
                                              upstream::ApiAccess access) {
  std::set<Endpoint> found;
  for (const auto& server : servers_) {
    for (const auto& endpoint : agent::this_machine().resolve(server.host, server.port)) {
      found.insert(endpoint);
    }
  }
  // Not being allowed to is no failure: what can be reached is what is mirrored.
  // Named: g++ 12 destroys an aggregate twice that is made inside an awaited expression.
  upstream::ApiRequest get_service{.path = kService}, get_slice{.path = kSlice};
  const auto service = co_await client->call(access, std::move(get_service));
  if (service && service->status == 200) {
    for (const auto& endpoint : agent::service_addresses(service->body)) found.insert(endpoint);
  }
  const auto slice = co_await client->call(access, std::move(get_slice));
  if (slice && slice->status == 200) {
    for (const auto& endpoint : agent::slice_addresses(slice->body)) found.insert(endpoint);
  }
  co_return std::vector<Endpoint>{found.begin(), found.end()};
}

Task<> Mirror::look(Executor executor, upstream::ApiClient* client, upstream::ApiAccess access) {
  const auto targets = co_await addresses(client, std::move(access));
  std::string problems;
  for (const auto& target : targets) {
    const auto der = co_await agent::fetch_chain(executor, target, kNoMark, kTimeout);
    const auto now = std::chrono::system_clock::now();
    auto chain = der ? tls::parse_der_chain(*der) : Result<tls::Chain>{der.error()};
    const auto root = chain ? trust_.root_of(*chain, now, tls::TrustStore::Time::kChecked)
                            : Result<std::string>{chain.error()};
    if (root) {
      seen_.add(tls::names_of(chain->front().get()), now);
    } else {
      problems +=
          (problems.empty() ? "" : "; ") + target.to_string() + ": " + root.error().to_string();
    }
  }
  if (problems.empty()) {
    complaint_.settled();
  } else if (complaint_.is_new(problems)) {
    telemetry::log(spdlog::level::warn, "API servers whose names are not known",
                   {{"why", problems}});
  }
}

}  // namespace holdfast::approver
