#pragma once

#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/endpoint.h"
#include "holdfast/base/result.h"
#include "tls/mint.h"

namespace holdfast::tls {

/// What is kept of one target, so that a restart without the link can serve at once.
struct TargetRecord {
  Endpoint target;
  std::string server_chain_pem;  ///< what the real server presented
  std::optional<ServingPair> pair;
};

/// Target records on disk, one file each, mode 0600 in a directory of mode 0700: they hold keys.
/// With an empty directory nothing is kept.
class TargetFiles {
 public:
  explicit TargetFiles(std::string directory) : directory_{std::move(directory)} {}

  /// All that can be read; what cannot is skipped and logged: it will be learned again.
  [[nodiscard]] std::vector<TargetRecord> load() const;
  Result<void> save(const TargetRecord& record) const;
  void remove(const Endpoint& target) const;

 private:
  [[nodiscard]] std::string path_of(const Endpoint& target) const;

  std::string directory_;
};

}  // namespace holdfast::tls
