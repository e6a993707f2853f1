#pragma once

#include "writes/event_queue.h"
#include "writes/token_replays.h"

namespace holdfast::writes {

/// What this step remembers, for all threads (request::Services::writes).
struct Shared {
  TokenReplays tokens;
  EventQueue events;
};

}  // namespace holdfast::writes
