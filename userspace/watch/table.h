#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "holdfast/kube/object.h"

namespace holdfast::watch {

struct TableStart {
  std::string events;  ///< ADDED, one for each row
  kube::ResourceVersion version = 0;
};

/// The rows of a Table that was got, in the form in which a watch from "0" begins with them: one
/// row for each event, the columns in the first alone (k8s.io/apiserver
/// pkg/endpoints/handlers/response.go, watchEncoder). Empty where `body` is no Table in JSON,
/// one without a resourceVersion, or one page of several.
std::optional<TableStart> table_start(std::string_view body);

}  // namespace holdfast::watch
