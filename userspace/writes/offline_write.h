#pragma once

#include <memory>
#include <optional>
#include <string>

#include "holdfast/base/task.h"
#include "holdfast/policy/decision.h"
#include "request/context.h"
#include "request/request.h"

namespace holdfast::writes {

/// A write for which there is an answer while the API server is away. The one who forwards it takes
/// the body through this, and comes here in place of a 503.
class OfflineWrite {
 public:
  /// Null for every other request.
  static std::unique_ptr<OfflineWrite> of(request::ThreadContext& thread,
                                          const std::shared_ptr<request::Request>& request,
                                          policy::Action action);
  OfflineWrite(request::ThreadContext& thread, std::shared_ptr<request::Request> request,
               kube::Encoding encoding)
      : thread_{thread}, request_{std::move(request)}, encoding_{encoding} {}
  OfflineWrite(const OfflineWrite&) = delete;
  OfflineWrite& operator=(const OfflineWrite&) = delete;
  virtual ~OfflineWrite() = default;

  /// Before anything is sent: reads the body, up to a bound. False: the client is gone.
  Task<bool> prepare();
  [[nodiscard]] const Slice& body() const { return body_; }
  /// False: more of the body is to be read from the client.
  [[nodiscard]] bool whole() const { return whole_; }

  /// Answers without the API server; with a 503 where that can't be.
  Task<> answer();
  /// True when `answer` is right even if the request was sent and may have been carried out.
  [[nodiscard]] virtual bool repeatable() const = 0;
  /// True when `answered` is to be given the body of the API server's answer.
  [[nodiscard]] virtual bool learns() const = 0;
  /// The API server answered. `body` is empty when it could not be taken whole.
  virtual Task<> answered(unsigned status, kube::Encoding encoding, std::optional<Slice> body) = 0;

 protected:
  /// A moment before sending in which to wait, the link being what it is.
  virtual Task<> settle() = 0;
  /// As `answer`, for a principal who is known and a body that is whole. Empty: nothing to say.
  struct Answer {
    kube::Encoding encoding;
    std::string body;
    request::Source source;
  };
  virtual std::optional<Answer> find(const identity::Principal& principal) = 0;

  request::ThreadContext& thread_;
  std::shared_ptr<request::Request> request_;
  const kube::Encoding encoding_;  // of the request's body

 private:
  Slice body_;
  bool whole_ = false;
};

}  // namespace holdfast::writes
