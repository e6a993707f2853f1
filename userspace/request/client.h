#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "holdfast/base/endpoint.h"
#include "holdfast/identity/process.h"
#include "holdfast/kernel/connection_tag.h"
#include "holdfast/upstream/identity.h"
#include "holdfast/upstream/pool.h"

namespace holdfast::request {

/// One client connection, as its requests see it: http::Exchange::context(). Stays on its thread.
struct Client {
  std::uint64_t connection = 0;  ///< number of the connection, for logs and trace
  Endpoint peer;
  std::optional<kernel::ConnectionTag> tag;  ///< empty: untagged, served by credential alone
  identity::Process process;                 ///< of the tag's pid; empty when untagged or gone
  std::optional<identity::PodName> pod;  ///< of the tag's cgroup, once an accepted token named it
  std::string certificate;        ///< fingerprint of the certificate the client proved; empty: none
  upstream::Identity identity;    ///< the same certificate with its key, from this node's disk
  upstream::StickyServer sticky;  ///< the API server that answers this connection
  /// False: its network namespace was never judged, since the link is down. Answers come from the
  /// cache only, and the connection ends when the link is back.
  bool may_forward = true;
  std::function<void()> close;  ///< ends the connection
};

}  // namespace holdfast::request
