#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast::admin {

struct Reply {
  int code = 0;  ///< HTTP
  std::string body;
};

/// One GET over the agent's unix socket, blocking. kUnavailable when no agent answers there,
/// kTimeout when it does not in time.
Result<Reply> get(const std::string& socket, const std::string& target,
                  std::chrono::milliseconds timeout = std::chrono::seconds{5});

/// As `get`, for what changes something.
Result<Reply> post(const std::string& socket, const std::string& target,
                   std::chrono::milliseconds timeout = std::chrono::seconds{30});

/// Follows a stream of lines until it ends (an ok result) or `on_line` returns false. There is no
/// limit on the time between two lines. `on_open` is called once the agent sends all that comes.
Result<> follow(const std::string& socket, const std::string& target,
                const std::function<bool(std::string_view line)>& on_line,
                const std::function<void()>& on_open = {});

}  // namespace holdfast::admin
