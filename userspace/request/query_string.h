#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast::request {

/// One change to a query string: an empty value removes the parameter.
using QueryChange = std::pair<std::string_view, std::string_view>;

/// `target` with these parameters set or removed; all others keep their place and their encoding.
std::string rewrite_query(std::string_view target, std::initializer_list<QueryChange> changes);

}  // namespace holdfast::request
