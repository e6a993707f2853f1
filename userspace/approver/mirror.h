#pragma once

#include <string>
#include <vector>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/task.h"
#include "tls/certificate.h"
#include "tls/file_watch.h"
#include "tls/seen_names.h"
#include "upstream/api_client.h"

namespace holdfast::approver {

/// Which names the real API servers' certificates have, as seen from here: at the addresses that
/// the approver uses itself, and at those of the Service `kubernetes` and its EndpointSlice, where
/// it may read them. A chain counts only if it verifies with the cluster's CA.
class Mirror {
 public:
  Mirror(std::vector<upstream::Server> servers, tls::TrustStore trust)
      : servers_{std::move(servers)}, trust_{std::move(trust)} {}

  Task<> look(Executor executor, upstream::ApiClient* client, upstream::ApiAccess access);
  [[nodiscard]] tls::Names names(tls::WallTime now) { return seen_.names(now); }

 private:
  Task<std::vector<Endpoint>> addresses(upstream::ApiClient* client, upstream::ApiAccess access);

  std::vector<upstream::Server> servers_;
  tls::TrustStore trust_;
  tls::SeenNames seen_;
  tls::Complaint complaint_;
};

}  // namespace holdfast::approver
