#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"
#include "holdfast/base/task.h"
#include "upstream/api_client.h"

namespace holdfast::agent {

/// A CertificateSigningRequest as far as its requester cares.
struct SigningState {
  std::string name, uid;
  bool approved = false;
  std::string denied, failed;   ///< why, in the words of who did it; empty: it is not
  std::string certificate_pem;  ///< empty: not issued yet
};

/// kCorrupt when it is none.
Result<SigningState> parse_signing_request(std::string_view json);
/// The object to be created.
std::string signing_request_json(const std::string& node, std::string_view request_pem,
                                 std::chrono::seconds lifetime);

/// Certificates from the API server, asked for with the access of the node itself: NodeRestriction
/// lets a node ask for its own name only. The seam of the requester's tests.
class SigningApi {
 public:
  virtual ~SigningApi() = default;
  /// kRefused with the API server's sentence when it says no.
  virtual Task<Result<SigningState>> create(upstream::Identity identity, std::string json) = 0;
  /// kNotFound when it is gone: what nobody approves is removed after a day.
  virtual Task<Result<SigningState>> get(upstream::Identity identity, std::string name) = 0;
};

std::unique_ptr<SigningApi> make_signing_api(std::unique_ptr<upstream::ApiClient> client);

}  // namespace holdfast::agent
