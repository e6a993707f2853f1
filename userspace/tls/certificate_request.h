#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"
#include "tls/names.h"

namespace holdfast::tls {

/// A PKCS #10 request (RFC 2986) and the key that it is for, as PEM.
struct NewRequest {
  std::string request_pem, key_pem;
};

/// For the signer kubernetes.io/kubelet-serving: O is exactly system:nodes, CN system:node:NODE,
/// and subject alternative names are all that is asked for (certificates/v1, pkg/apis/certificates
/// helpers.go, ValidateKubeletServingCSR). The key is a fresh one on P-256.
Result<NewRequest> make_certificate_request(const std::string& node, const Names& names);

/// What a request asks for.
struct RequestContent {
  std::string common_name;
  std::vector<std::string> organizations;
  Names names;
};

/// Strict, since two parsers that disagree would let someone ask one thing of the approver and
/// another of the signer: one PEM block in canonical form, signed by its own key, a subject of CN
/// and O in UTF8String or PrintableString alone, and one requested extension: subject alternative
/// names that are DNS names and addresses. kInvalidArgument says what else there is.
Result<RequestContent> parse_certificate_request(std::string_view pem);

}  // namespace holdfast::tls
