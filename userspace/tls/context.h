#pragma once

#include "holdfast/base/result.h"
#include "holdfast/tls/terminator.h"
#include "tls/certificate.h"
#include "tls/mint.h"

namespace holdfast::tls {

/// For accepting: TLS 1.2 or newer, h2 before http/1.1, any client certificate whose key the
/// client proves to hold, no session ever resumed.
Result<ContextPtr> make_server_context(const ServingPair& pair);

}  // namespace holdfast::tls
