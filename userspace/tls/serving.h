#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/tls/terminator.h"
#include "tls/certificate.h"
#include "tls/mint.h"
#include "tls/names.h"

namespace holdfast::tls {

/// One target and what is served in its place. Immutable once built.
struct Serving {
  Endpoint target;
  std::string server_chain_pem;
  Names server_names;
  /// kNone, or why nothing can be served.
  Reason problem = Reason::kNoCertificate;
  std::optional<ServingPair> pair;
  std::shared_ptr<SSL_CTX> context;
  bool kept = true;  ///< on disk as it is here, as far as we know

  /// kNone when a client that dialled this target can be given our certificate now.
  [[nodiscard]] Reason usable(WallTime now) const;
  /// The same for a client with this hello: does the name it asks for lead to the API server, and
  /// does our certificate have it?
  [[nodiscard]] Reason usable_for(const ClientHello& hello, WallTime now) const;
};

/// In the order in which targets were learned; targets are few.
using Servings = std::vector<std::shared_ptr<const Serving>>;

}  // namespace holdfast::tls
