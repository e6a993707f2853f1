#pragma once

#include <string>

#include "holdfast/kube/media_type.h"
#include "request/request.h"

namespace holdfast::share {

/// What a list and a watch of it ask for, whoever does, in that form: equal keys get equal answers.
/// Empty: it can't be shared (Tables, options that we do not know, selectors that do not parse).
std::string key_of(const request::Request& request, const kube::Representation& representation);

}  // namespace holdfast::share
