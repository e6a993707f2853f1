#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "holdfast/admin/cache_query.h"

namespace holdfast::cli {

struct CacheCommand {
  admin::CacheQuery& query;
  std::string footer;
  std::function<void(CLI::App*)> add_common;  ///< --config, --admin-socket, -o
};

/// `cache` with ls, usage, get and rm.
CLI::App* add_cache_command(CLI::App& app, const CacheCommand& parts);

}  // namespace holdfast::cli
