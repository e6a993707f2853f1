#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "holdfast/cache/query.h"
#include "holdfast/kube/object.h"

namespace holdfast::cache {

/// A list in the cache, for people.
struct CollectionInfo {
  enum class State : std::uint8_t {
    kServed,
    kHeld,    ///< something newer was seen: waits for its own list or watch
    kBroken,  ///< a write was lost: waits for a list
  };
  std::string id;  ///< hex
  Query query;
  kube::ResourceVersion version = 0;
  std::uint64_t items = 0, bytes = 0;  ///< bytes of its objects, shared ones too
  std::chrono::system_clock::time_point shown_at, used_at;
  State state = State::kServed;
  Residence residence = Residence::kDisk;
  bool node_component = false;
};

/// What one principal has of one resource.
struct UsageInfo {
  identity::PrincipalId principal;
  kube::GroupVersionResource gvr;
  std::uint64_t lists = 0, items = 0;
  std::uint64_t objects = 0;    ///< read one by one, and remembered 404s
  std::uint64_t documents = 0;  ///< Tables and other answers that are kept as they came
  std::uint64_t bytes = 0;      ///< of all of them; what others have too counts for each
  std::chrono::system_clock::time_point used_at;
  bool node_component = false;
  bool partial = false;  ///< there is more than was counted
};

}  // namespace holdfast::cache
