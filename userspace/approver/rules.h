#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "tls/names.h"

namespace holdfast::approver {

/// A CertificateSigningRequest as the API server has it: who asked is its word, not the
/// requester's.
struct SigningRequest {
  std::string name, uid;
  std::string signer;
  std::string username;
  std::vector<std::string> groups;
  std::string request_pem;
  std::vector<std::string> usages;
  std::int64_t expiration_seconds = 0;  ///< 0: not given, the signer decides
  /// Approved, denied, failed or issued: nothing is left to decide.
  bool settled = false;
};

/// What is allowed.
struct Policy {
  tls::Names names;  ///< of the real API servers, the listener's addresses, and configured ones
  std::chrono::seconds max_lifetime{0};
  std::string label_key, label_value;
};

using Labels = std::map<std::string, std::string>;

/// Everything that can be told from the request alone. Returns why it must be left alone; empty
/// when there is no reason. The rules of the signer (ValidateKubeletServingCSR) are among these.
std::string objection_to(const SigningRequest& request, const Policy& policy);
/// The node that asks: N of "system:node:N"; empty when it is none.
std::string node_of(const SigningRequest& request);
/// The same for the Node of that name.
std::string objection_to_node(const Labels& labels, const Policy& policy);

}  // namespace holdfast::approver
