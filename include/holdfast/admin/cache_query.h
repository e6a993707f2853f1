#pragma once

#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast::admin {

/// What `holdfast cache` asks the agent.
struct CacheQuery {
  enum class What : std::uint8_t { kLists, kUsage, kGet, kRemove };
  What what = What::kLists;
  std::string principal;  ///< a user name or the id of a principal; empty: all
  std::string resource;   ///< "pods", "deployments.apps"; empty: all
  std::string id;         ///< kGet: the id of a list, or the beginning of it
  std::string ns, name;   ///< kGet: one object of the list
  bool secrets = false;   ///< kGet: contents of Secrets, too
  bool all = false;       ///< kRemove: needed when neither principal nor resource is given
};

/// "/v1/cache/lists?principal=…", and back. kInvalidArgument names an unknown page or key.
std::string to_target(const CacheQuery& query);
Result<CacheQuery> parse_cache_query(std::string_view page, std::string_view query);

}  // namespace holdfast::admin
