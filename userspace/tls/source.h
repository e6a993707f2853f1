#pragma once

#include <memory>
#include <optional>

#include "holdfast/base/result.h"
#include "holdfast/tls/terminator.h"
#include "tls/mint.h"

namespace holdfast::tls {

/// Where served certificates come from (`tls.source`). Not thread-safe.
class CertificateSource {
 public:
  static Result<std::unique_ptr<CertificateSource>> create(const TerminatorOptions& options);
  virtual ~CertificateSource() = default;

  /// A pair to serve for these names: `current` again while it will do, else another. One that is
  /// outside its validity may come back; whoever serves it checks.
  virtual Result<ServingPair> pair_for(const Names& names, WallTime now,
                                       const std::optional<ServingPair>& current) = 0;
  /// A real API server, whose chain was verified, presented these names just now.
  virtual void seen(const Names& /*names*/, WallTime /*now*/) {}
  /// Rereads the files that changed; a bad one leaves the last good one in force and is logged.
  virtual void reload() = 0;
  /// Whether pairs are this agent's own, to be kept for an offline restart.
  [[nodiscard]] virtual bool mints() const = 0;
};

}  // namespace holdfast::tls
