#pragma once

#include "share/hub.h"
#include "share/lists.h"

namespace holdfast::share {

/// What the threads of this process share of the API server's answers.
struct Shared {
  Hubs hubs;
  Lists lists;
};

}  // namespace holdfast::share
