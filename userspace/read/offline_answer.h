#pragma once

#include <memory>
#include <optional>
#include <variant>

#include "holdfast/base/task.h"
#include "holdfast/cache/store.h"
#include "read/version_rules.h"
#include "request/context.h"
#include "request/request.h"

namespace holdfast::read {

/// What can be said without the API server, looked up but not yet sent.
class OfflineAnswer {
 public:
  /// Checks the credential (unless it was accepted just now, as `request.principal` says) and looks
  /// into the cache. Never fails: what can't be answered is a Status.
  static OfflineAnswer prepare(request::ThreadContext& thread, request::Request& request);

  /// True for content and for a proven absence: what may be given in place of an API server that is
  /// merely slow. False for every other Status.
  [[nodiscard]] bool certain() const { return certain_; }
  Task<> send(request::ThreadContext& thread, std::shared_ptr<request::Request> request);

 private:
  using Snapshot = std::unique_ptr<cache::ListSnapshot>;
  using Content = std::variant<kube::Status, cache::ObjectAnswer, cache::Document, Snapshot>;

  OfflineAnswer(Content content, bool certain) : content_{std::move(content)}, certain_{certain} {}
  static OfflineAnswer refuse(kube::Status status) { return {std::move(status), false}; }
  static OfflineAnswer look_up_object(request::ThreadContext& thread, request::Request& request,
                                      const cache::Query& query);
  static OfflineAnswer look_up_list(request::ThreadContext& thread, request::Request& request,
                                    const cache::Query& query);

  Content content_;
  bool certain_ = false;
};

/// Who asks, as far as can be told without the API server; else the Status to answer with.
std::variant<identity::Principal, kube::Status> offline_principal(request::ThreadContext& thread,
                                                                  const request::Request& request);

/// The API server's last word on this question, where that was a no (403).
std::optional<kube::Status> refused_before(request::ThreadContext& thread,
                                           const request::Request& request);

/// Why the cache has no answer (`outcome`), and when the link was last up: 503; or
/// `refused_before`.
kube::Status not_served(request::ThreadContext& thread, const request::Request& request,
                        cache::Outcome outcome);

/// Why what is there may not be given: too old, of another version, or consistency was asked for.
kube::Status version_status(VersionVerdict verdict, const VersionDemand& demand,
                            kube::ResourceVersion have, request::ThreadContext& thread);

/// 503 for what only the API server can do.
kube::Status link_down(request::ThreadContext& thread);

}  // namespace holdfast::read
