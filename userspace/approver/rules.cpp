#include "approver/rules.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "tls/certificate_request.h"

namespace holdfast::approver {
namespace {

constexpr std::string_view kSigner = "kubernetes.io/kubelet-serving";
constexpr std::string_view kNodePrefix = "system:node:";
constexpr std::string_view kNodesGroup = "system:nodes";
constexpr std::array<std::string_view, 3> kUsages = {"digital signature", "key encipherment",
                                                     "server auth"};
/// Both say control plane; the second is what clusters older than 1.24 have.
constexpr std::array<const char*, 2> kControlPlane = {"node-role.kubernetes.io/control-plane",
                                                      "node-role.kubernetes.io/master"};

bool has(const std::vector<std::string>& list, std::string_view wanted) {
  return std::ranges::find(list, wanted) != list.end();
}

std::string objection_to_usages(const std::vector<std::string>& usages) {
  for (const auto& usage : usages) {
    if (std::ranges::find(kUsages, usage) == kUsages.end()) {
      return "the usage \"" + usage + "\" is not allowed";
    }
  }
  for (const auto usage : {kUsages[0], kUsages[2]}) {
    if (!has(usages, usage)) return "the usage \"" + std::string{usage} + "\" is missing";
  }
  return {};
}

std::string objection_to_names(const tls::Names& names, const tls::Names& allowed) {
  if (names.empty()) return "it asks for no name";
  for (const auto& name : names.dns) {
    if (!allowed.dns.contains(name)) return "the name " + name + " is not an API server's";
  }
  for (const auto& address : names.addresses) {
    if (!allowed.addresses.contains(address)) {
      return "the address " + address.address_string() + " is not an API server's or a listener's";
    }
  }
  return {};
}

}  // namespace

std::string node_of(const SigningRequest& request) {
  if (!request.username.starts_with(kNodePrefix)) return {};
  return request.username.substr(kNodePrefix.size());
}

std::string objection_to(const SigningRequest& request, const Policy& policy) {
  if (request.signer != kSigner) return "it is for another signer";
  if (node_of(request).empty() || !has(request.groups, kNodesGroup)) {
    return "the requester is no node";
  }
  const auto content = tls::parse_certificate_request(request.request_pem);
  if (!content) return content.error().message;
  if (content->common_name != request.username) return "the common name is not the requester's";
  if (content->organizations != std::vector<std::string>{std::string{kNodesGroup}}) {
    return "the organization is not exactly system:nodes";
  }
  if (auto why = objection_to_usages(request.usages); !why.empty()) return why;
  if (request.expiration_seconds <= 0) return "it names no lifetime";
  if (request.expiration_seconds > policy.max_lifetime.count()) {
    return "the lifetime of " + std::to_string(request.expiration_seconds) + " s is above " +
           std::to_string(policy.max_lifetime.count()) + " s";
  }
  return objection_to_names(content->names, policy.names);
}

std::string objection_to_node(const Labels& labels, const Policy& policy) {
  for (const auto* label : kControlPlane) {
    if (labels.contains(label)) return "the node is one of the control plane";
  }
  const auto it = labels.find(policy.label_key);
  if (it == labels.end() || it->second != policy.label_value) {
    return "the node is not opted in with the label " + policy.label_key + "=" + policy.label_value;
  }
  return {};
}

}  // namespace holdfast::approver
