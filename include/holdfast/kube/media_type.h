#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::kube {

enum class Encoding : std::uint8_t { kJson, kProtobuf };
/// What an object is turned into on the way (the `as=` parameter of Accept).
enum class Transform : std::uint8_t { kNone, kTable, kPartialObjectMetadata };

/// The form in which an answer travels; part of every cache key.
struct Representation {
  Encoding encoding = Encoding::kJson;
  Transform transform = Transform::kNone;
  std::string
      transform_version;  ///< "v1" or "v1beta1" with a transform (Table, PartialObjectMetadata)
  auto operator<=>(const Representation&) const = default;
};

/// One acceptable answer from an Accept header, best first.
struct AcceptChoice {
  Representation representation;
  bool operator==(const AcceptChoice&) const = default;
};

/// The parts of an Accept header (RFC 9110 §12.5.1) that Holdfast can parse, best first: q values,
/// then order. `*/*`, `application/*` and an empty header mean JSON. Unknown types (CBOR, YAML)
/// are left out; an empty result means nothing we know is acceptable.
std::vector<AcceptChoice> parse_accept(std::string_view accept);

/// An Accept header that names only what was understood, in the client's order and with its other
/// parameters; empty when nothing is left.
std::string restrict_accept(std::string_view accept);

/// From a response's Content-Type; false when it is neither JSON nor Kubernetes protobuf.
/// "application/json;stream=watch" and "application/vnd.kubernetes.protobuf;stream=watch" too.
bool parse_content_type(std::string_view content_type, Encoding& encoding, bool& stream);

/// The Content-Type of an answer, "application/json" or "application/vnd.kubernetes.protobuf",
/// with ";stream=watch" for watches where the API server says so.
std::string content_type(Encoding encoding, bool watch);

}  // namespace holdfast::kube
