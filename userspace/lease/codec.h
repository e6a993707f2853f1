#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lease/object.h"

namespace holdfast::lease {

/// What to change in a Lease; empty: leave it.
struct Edit {
  std::optional<kube::ResourceVersion> resource_version;
  std::optional<RenewTime> renewed;
};

// Both work on the canonical body (kube::Object::body). The readers fill in spec and `rest`.
Result<void> read_json(std::string_view body, LeaseObject& out);
Result<std::string> edit_json(std::string_view body, const Edit& edit);
Result<void> read_protobuf(std::string_view body, LeaseObject& out);
Result<std::string> edit_protobuf(std::string_view body, const Edit& edit);

}  // namespace holdfast::lease
