#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/tls/terminator.h"
#include "tls/file_watch.h"

namespace holdfast::tls {

/// The client key pairs on this node's disk. Thread-safe.
class Identities {
 public:
  /// {certificate, key} files; those that are missing now may come later. Both may be one: PEM with
  /// the two, or a kubeconfig that has them inline.
  explicit Identities(const std::vector<std::pair<std::string, std::string>>& files);

  /// The pair whose leaf has this SHA-256. An unknown one makes changed files be reread first: a
  /// kubelet uses its new certificate the moment it is written. Null: this node does not hold it.
  std::shared_ptr<const ClientIdentity> find(const std::string& fingerprint);
  /// Whether `find` would find it, without a look at the files.
  [[nodiscard]] bool has(const std::string& fingerprint) const;
  void reload();
  [[nodiscard]] std::vector<std::shared_ptr<const ClientIdentity>> all() const;

 private:
  struct Entry {
    PairFiles files;
    Complaint complaint;
    std::shared_ptr<const ClientIdentity> current;
    /// Connections may be opened with the former certificate until its owner has moved over.
    std::shared_ptr<const ClientIdentity> former;
  };

  void reload_locked();
  [[nodiscard]] std::shared_ptr<const ClientIdentity> find_locked(
      const std::string& fingerprint) const;

  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace holdfast::tls
