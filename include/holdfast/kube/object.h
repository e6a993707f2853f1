#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/base/slice.h"
#include "holdfast/kube/media_type.h"

namespace holdfast::kube {

/// resourceVersions of one API server are comparable numbers (KEP-5504); 0 means none.
using ResourceVersion = std::uint64_t;
/// 0 and false when the text is not a decimal number.
bool parse_resource_version(std::string_view text, ResourceVersion& out);

struct TypeMeta {
  std::string api_version, kind;
  bool operator==(const TypeMeta&) const = default;
};

/// The metadata that deciding and selecting needs, read without a schema for any kind: ObjectMeta
/// is field 1 of every protobuf message and "metadata" of every JSON object.
struct ObjectMeta {
  std::string name, ns, uid;
  ResourceVersion resource_version = 0;
  std::map<std::string, std::string, std::less<>> labels;
};

/// One object in canonical stored form:
/// - JSON: the object's text as the server wrote it, minified, with `kind` and `apiVersion` taken
///   out (they are in `type`);
/// - protobuf: the message's bytes without the `k8s\0` envelope.
/// List items, GET answers and watch events are rendered from this.
struct Object {
  TypeMeta type;  ///< empty in a typed list's items: the list's kind says it
  ObjectMeta meta;
  Slice body;
};

/// Reads one whole object as a GET answers it (protobuf: with the envelope). kInvalidArgument.
Result<Object> parse_object(Encoding encoding, Slice bytes);

/// A canonical body with another metadata.resourceVersion, and nothing else changed.
/// kInvalidArgument when it has none.
Result<Slice> restamp(Encoding encoding, std::string_view body, ResourceVersion version);

/// The canonical JSON body of a PartialObjectMetadata (meta.k8s.io) of a whole object, whose own is
/// `body` (JSON). kInvalidArgument when it has no metadata.
Result<Slice> metadata_only(std::string_view body);

/// The bytes of a GET answer.
std::string render_object(Encoding encoding, const TypeMeta& type, std::string_view body);

/// One of the details of a Status (metav1.StatusCause).
struct StatusCause {
  std::string reason, message, field;
};

/// A `Status` (metav1.Status) as failures are answered; see status_reasons.h for the usual ones.
struct Status {
  unsigned code = 500;
  std::string reason;  ///< "NotFound", "ServiceUnavailable", …
  std::string message;
  std::string kind, name, group;          ///< details; empty ones are left out
  std::uint32_t retry_after_seconds = 0;  ///< details.retryAfterSeconds; never a header
  std::vector<StatusCause> causes;
};
std::string render_status(Encoding encoding, const Status& status);

}  // namespace holdfast::kube
