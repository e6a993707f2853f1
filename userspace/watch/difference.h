#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/cache/store.h"
#include "holdfast/kube/watch_event.h"

namespace holdfast::watch {

/// What a new list says that a watch would have told, had the API server not forgotten its events
/// (410: etcd is compacted every five minutes). The invariant of watches holds for it: reflectors
/// resume from the resourceVersion of the last event that they got, so none exceeds what was
/// delivered in full. Deletions come first, with the last delivered version; then what was added or
/// changed, by ascending version.
///
/// Intermediate states collapse. An object that was deleted and made again is two events.
class Difference {
 public:
  /// `base` is read now; `bodies`, another snapshot of the same list, when deletions are told.
  /// kCorrupt: an object of it does not open.
  static Result<std::unique_ptr<Difference>> create(std::unique_ptr<cache::ListSnapshot> base,
                                                    std::unique_ptr<cache::ListSnapshot> bodies);

  /// One item of the new list.
  void add(kube::Object object);
  /// Of objects that do not say.
  [[nodiscard]] const kube::TypeMeta& type() const { return type_; }
  /// The new list is whole. The events have frames. kCorrupt, kInvalidArgument.
  Result<std::vector<kube::WatchEvent>> finish();

 private:
  struct Known {
    std::string uid;
    kube::ResourceVersion version = 0;
    bool seen = false;      ///< in the new list
    bool replaced = false;  ///< there, as another object of that name
  };
  using Name = std::pair<std::string, std::string>;  ///< namespace and name

  explicit Difference(std::unique_ptr<cache::ListSnapshot> bodies);
  Result<void> tell_deletions(std::vector<kube::WatchEvent>& out);
  void tell(std::vector<kube::WatchEvent>& out, kube::EventType type, kube::Object object) const;

  std::unique_ptr<cache::ListSnapshot> bodies_;
  const kube::TypeMeta type_;
  std::map<Name, Known> known_;
  std::vector<std::pair<kube::EventType, kube::Object>> changed_;
};

}  // namespace holdfast::watch
