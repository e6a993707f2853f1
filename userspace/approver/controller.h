#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "approver/mirror.h"
#include "approver/objects.h"
#include "approver/rules.h"
#include "upstream/api_client.h"

namespace holdfast::approver {

/// Looks at every pending request for the signer: as events come, and again twice a minute, since
/// a node may be opted in later, and names may be seen later.
class Controller {
 public:
  struct Parts {
    std::unique_ptr<upstream::ApiClient> client;
    upstream::ApiAccess access;
    Mirror mirror;
    Policy policy;  ///< its names are the configured ones; the mirrored ones come on top
  };
  explicit Controller(Parts parts) : parts_{std::move(parts)}, configured_{parts_.policy.names} {}

  /// Until cancelled.
  Task<> run(Executor executor);

 private:
  Task<Result<std::string>> list(Executor executor);
  Task<> follow(std::string resource_version);
  Task<> judge(RequestObject object);
  Task<std::optional<std::string>> objection(SigningRequest request);
  Task<> approve(RequestObject object);
  void leave_alone(const SigningRequest& request, const std::string& why);
  void complain(const std::string& what, const Error& error);
  void refresh_names();

  Parts parts_;
  const tls::Names configured_;
  std::map<std::string, std::string> told_;  ///< uid → why it was left alone
  tls::Complaint complaint_;
};

}  // namespace holdfast::approver
