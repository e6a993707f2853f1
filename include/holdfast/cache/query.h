#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/identity/principal.h"
#include "holdfast/kube/request_attributes.h"

namespace holdfast::cache {

/// What a principal asked for: the identity of a collection.
struct Query {
  identity::PrincipalId principal;
  kube::Representation representation;
  kube::GroupVersionResource gvr;
  std::string ns;              ///< empty: cluster-scoped or all namespaces
  std::string name;            ///< a GET's object, or the one name that a list was narrowed to
  std::string subresource;     ///< "", "status" or "scale"
  std::string label_selector;  ///< canonical
  std::string field_selector;  ///< canonical
  auto operator<=>(const Query&) const = default;
};

/// Where the bytes of a collection may live.
enum class Residence : std::uint8_t {
  kDisk,
  kMemory,  ///< Secrets of principals that are not node components, and rules that say `memory`
};

/// How careful writing must be.
enum class Durability : std::uint8_t {
  kWriteBehind,   ///< the client never waits
  kWriteThrough,  ///< the event is on disk before the client gets it (what a kubelet acts on)
};

struct RecordOptions {
  Residence residence = Residence::kDisk;
  Durability durability = Durability::kWriteBehind;
  bool node_component = false;  ///< evicted last
};

}  // namespace holdfast::cache
