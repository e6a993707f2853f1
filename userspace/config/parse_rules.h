#pragma once

#include <vector>

#include "config/node_reader.h"
#include "holdfast/config/rules.h"

namespace holdfast::config {

void read_intercept_rules(const NodeReader& list, std::vector<InterceptRule>& out);
void read_cache_rules(const NodeReader& list, std::vector<CacheRule>& out);
void read_lease_rules(const NodeReader& list, std::vector<LeaseRule>& out);

}  // namespace holdfast::config
