#pragma once

#include "holdfast/kube/object.h"
#include "holdfast/kube/request_attributes.h"

namespace holdfast::kube {

// Failures worded as the API server words them (k8s.io/apimachinery/pkg/api/errors,
// k8s.io/apiserver/pkg/storage/errors.go), so that clients take them for its own.

/// 400 BadRequest.
Status bad_request(std::string message);
/// 401 Unauthorized, "Unauthorized".
Status unauthorized();
/// 404 NotFound: `pods "x" not found`, `deployments.apps "x" not found`.
Status not_found(const GroupVersionResource& gvr, std::string_view name);
/// 410 Expired; an empty message becomes the one for a resourceVersion that is too old.
Status expired(std::string message = {});
/// 503 ServiceUnavailable. `retry_after_seconds` goes into the details, never into a header.
Status unavailable(std::string message, std::uint32_t retry_after_seconds = 0);
/// 504 Timeout with the cause ResourceVersionTooLarge, to be tried again in a second.
Status too_large_resource_version(ResourceVersion wanted, ResourceVersion current);

/// What a Status in canonical form (Object::body) says: reason and message, each empty when it says
/// none. The rest is not read.
Status read_status(Encoding encoding, std::string_view body);

}  // namespace holdfast::kube
