#pragma once

#include "holdfast/kube/object.h"

namespace holdfast::kube {

inline const TypeMeta kStatusType{"v1", "Status"};
/// A Status in canonical form.
std::string status_body(Encoding encoding, const Status& status);

}  // namespace holdfast::kube
