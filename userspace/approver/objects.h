#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "approver/rules.h"
#include "holdfast/base/result.h"

namespace holdfast::approver {

/// A CertificateSigningRequest and its JSON, which an approval sends back with a condition more.
struct RequestObject {
  SigningRequest request;
  std::string json;
};

struct RequestList {
  std::vector<RequestObject> items;
  std::string resource_version;
};

/// kCorrupt when it is no CertificateSigningRequestList.
Result<RequestList> parse_requests(std::string_view json);

/// One line of a watch.
struct RequestEvent {
  std::string type;  ///< ADDED, MODIFIED, DELETED, BOOKMARK, ERROR
  std::optional<RequestObject> object;
};
Result<RequestEvent> parse_event(std::string_view line);

/// The body for PUT …/approval. It carries the resourceVersion that was judged: if anything changed
/// since, the API server answers 409 and nothing is approved.
std::string approval_of(const RequestObject& object, std::string_view now);

/// The labels of a Node; kCorrupt when it is none.
Result<Labels> parse_node_labels(std::string_view json);

}  // namespace holdfast::approver
