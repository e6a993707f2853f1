#pragma once

#include <vector>

#include "cache/engine.h"
#include "holdfast/cache/inspect.h"

namespace holdfast::cache {

std::vector<CollectionInfo> list_collections(Engine& engine);
/// Looks at `rows` rows at most.
std::vector<UsageInfo> count_usage(Engine& engine, std::size_t rows);

}  // namespace holdfast::cache
