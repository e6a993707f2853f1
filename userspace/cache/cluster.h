#pragma once

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "cache/archive.h"
#include "holdfast/cache/store.h"

namespace holdfast::cache {

/// To which cluster the store belongs, and to which stretch of its history. Where not said
/// otherwise on the writer thread.
class Cluster {
 public:
  Cluster(Archive& archive, Shelf& disk, Shelf& memory);

  ClusterVerdict confirm(const ClusterReport& report);
  /// Any thread.
  [[nodiscard]] kube::ResourceVersion reached() const;

 private:
  using Resources = std::set<std::string>;

  ClusterVerdict bind(std::string_view cluster);
  ClusterVerdict follow(const ClusterReport& report);
  bool start_afresh(Shelf::Wipe what);
  void note(kube::ResourceVersion current);
  /// Resources of the cluster's own storage that were shown newer than `from`, up to `to`.
  [[nodiscard]] Resources shown_between(kube::ResourceVersion from, kube::ResourceVersion to) const;
  void keep_elsewhere(const Resources& more);

  Archive& archive_;
  Shelf& disk_;
  Shelf& memory_;
  std::atomic<kube::ResourceVersion> noted_{0};
  mutable std::mutex mutex_;
  Resources elsewhere_;  ///< kept in another storage than the API server's main one
};

}  // namespace holdfast::cache
