#include "approver/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tls/certificate_request.h"

namespace holdfast::approver {
namespace {

using testing::HasSubstr;

tls::Names names(std::set<std::string> dns, const std::vector<std::string>& addresses) {
  tls::Names out{.dns = std::move(dns), .addresses = {}};
  for (const auto& text : addresses) out.add_address(*Endpoint::from_address(text, 0));
  return out;
}

const tls::Names kMirrored =
    names({"kubernetes", "kubernetes.default.svc"}, {"198.18.0.1", "169.254.77.1", "fd77::1"});

Policy policy() {
  return {.names = kMirrored,
          .max_lifetime = std::chrono::hours{24},
          .label_key = "holdfast",
          .label_value = "on"};
}

std::string pem(const std::string& node, const tls::Names& asked = kMirrored) {
  return tls::make_certificate_request(node, asked)->request_pem;
}

SigningRequest good() {
  return {.name = "r",
          .uid = "u",
          .signer = "kubernetes.io/kubelet-serving",
          .username = "system:node:n1",
          .groups = {"system:nodes", "system:authenticated"},
          .request_pem = pem("n1"),
          .usages = {"digital signature", "key encipherment", "server auth"},
          .expiration_seconds = 3600};
}

TEST(Rules, WhatAnAgentAsksForIsAllowed) {
  EXPECT_EQ(objection_to(good(), policy()), "");
  auto fewer = good();
  fewer.request_pem = pem("n1", names({"kubernetes"}, {}));
  fewer.usages = {"server auth", "digital signature"};
  fewer.expiration_seconds = 24 * 3600;
  EXPECT_EQ(objection_to(fewer, policy()), "");
}

TEST(Rules, EverythingElseIsLeftAlone) {
  struct Case {
    const char* why;
    std::function<void(SigningRequest&)> change;
  };
  const auto with = [](std::set<std::string> dns, const std::vector<std::string>& addresses) {
    auto all = kMirrored;
    all.add(names(std::move(dns), addresses));
    return pem("n1", all);
  };
  const std::vector<Case> cases{
      {"another signer", [](auto& r) { r.signer = "kubernetes.io/kube-apiserver-client"; }},
      {"another signer", [](auto& r) { r.signer = "kubernetes.io/kubelet-serving-2"; }},
      {"no node", [](auto& r) { r.username = "alice"; }},
      {"no node", [](auto& r) { r.username = "system:node:"; }},
      {"no node", [](auto& r) { r.username = "system:serviceaccount:x:system:node:n1"; }},
      {"no node", [](auto& r) { r.groups = {"system:authenticated"}; }},
      {"no node", [](auto& r) { r.groups = {}; }},
      {"not the requester's", [](auto& r) { r.username = "system:node:n2"; }},
      {"not the requester's", [](auto& r) { r.request_pem = pem("n2"); }},
      {"not the requester's", [](auto& r) { r.request_pem = pem("n1 "); }},
      {"no PEM", [](auto& r) { r.request_pem = "text"; }},
      {"evil is not an API", [&](auto& r) { r.request_pem = with({"evil"}, {}); }},
      {"kubernetes.default is not",
       [&](auto& r) { r.request_pem = with({"kubernetes.default"}, {}); }},
      {"*.svc is not", [&](auto& r) { r.request_pem = with({"*.svc"}, {}); }},
      {"198.18.0.2 is not", [&](auto& r) { r.request_pem = with({}, {"198.18.0.2"}); }},
      {"fd77::2 is not", [&](auto& r) { r.request_pem = with({}, {"fd77::2"}); }},
      {"\"client auth\" is not allowed", [](auto& r) { r.usages.push_back("client auth"); }},
      {"\"any\" is not allowed", [](auto& r) { r.usages = {"any"}; }},
      {"\"server auth\" is missing", [](auto& r) { r.usages = {"digital signature"}; }},
      {"\"digital signature\" is missing", [](auto& r) { r.usages = {"server auth"}; }},
      {"\"digital signature\" is missing", [](auto& r) { r.usages = {}; }},
      {"no lifetime", [](auto& r) { r.expiration_seconds = 0; }},
      {"no lifetime", [](auto& r) { r.expiration_seconds = -1; }},
      {"above 86400 s", [](auto& r) { r.expiration_seconds = 24 * 3600 + 1; }},
  };
  for (const auto& c : cases) {
    auto request = good();
    c.change(request);
    EXPECT_THAT(objection_to(request, policy()), HasSubstr(c.why));
  }
}

TEST(Rules, WithoutMirroredNamesNothingIsAllowed) {
  auto nothing = policy();
  nothing.names = {};
  EXPECT_NE(objection_to(good(), nothing), "");
}

TEST(Rules, Nodes) {
  struct Case {
    Labels labels;
    const char* why;  ///< empty: allowed
  };
  const std::vector<Case> cases{
      {{{"holdfast", "on"}}, ""},
      {{{"holdfast", "on"}, {"node-role.kubernetes.io/worker", ""}}, ""},
      {{}, "not opted in"},
      {{{"holdfast", "off"}}, "not opted in"},
      {{{"holdfast", ""}}, "not opted in"},
      {{{"other", "on"}}, "not opted in"},
      {{{"holdfast", "on"}, {"node-role.kubernetes.io/control-plane", ""}}, "control plane"},
      {{{"holdfast", "on"}, {"node-role.kubernetes.io/master", "true"}}, "control plane"},
  };
  for (const auto& c : cases) {
    const auto why = objection_to_node(c.labels, policy());
    if (*c.why == '\0') {
      EXPECT_EQ(why, "");
    } else {
      EXPECT_THAT(why, HasSubstr(c.why));
    }
  }
}

}  // namespace
}  // namespace holdfast::approver
