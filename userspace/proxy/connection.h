#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "holdfast/base/fd.h"
#include "holdfast/base/task.h"
#include "holdfast/http/server.h"
#include "holdfast/kernel/interceptor.h"
#include "holdfast/tls/terminator.h"
#include "proxy/admission.h"
#include "request/context.h"

namespace holdfast::proxy {

/// Takes what the kernel knows of an accepted connection.
using TagSource = std::function<std::optional<kernel::ConnectionTag>(const Endpoint& peer,
                                                                     const Endpoint& local)>;

/// What every connection of a thread is served with.
struct ConnectionServices {
  request::ThreadContext& thread;
  tls::Terminator& terminator;
  Admission& admission;
  TagSource take_tag;
  std::uint32_t own_mark = 0;
  std::string self_test_path;  ///< answered locally; a secret of this process
  /// Those in use, by fingerprint: rotated ones go with their last connection.
  std::map<std::string, std::weak_ptr<const upstream::ClientIdentity>> identities;
  /// A rule leaves this process direct: this connection is spliced, the next need not come here.
  std::function<void(pid_t pid)> on_bypass;
  /// Told of each connection that is passed on untouched; may be empty.
  std::function<void(const request::Client& client, telemetry::ConnectionReason reason)> on_splice;
  /// Connections are being ended by us, whatever their clients think.
  bool draining = false;
  /// Tells the owner of a connection that is being served, for drains.
  std::function<void(std::shared_ptr<http::ServerConnection>)> on_serving;
};

/// Serves one accepted connection to its end: tag, admission, peek, then splice or terminate.
Task<> serve_connection(ConnectionServices& services, Fd socket);

}  // namespace holdfast::proxy
