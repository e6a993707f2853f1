#include "agent/signing_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace holdfast::agent {
namespace {

TEST(SigningApi, TheRequestIsWhatTheSignerDemands) {
  const auto json =
      nlohmann::json::parse(signing_request_json("n1", "PEM", std::chrono::hours{24}));
  EXPECT_EQ(json["kind"], "CertificateSigningRequest");
  EXPECT_EQ(json["metadata"]["generateName"], "holdfast-n1-");
  const auto& spec = json["spec"];
  EXPECT_EQ(spec["signerName"], "kubernetes.io/kubelet-serving");
  EXPECT_EQ(spec["request"], "UEVN");
  EXPECT_EQ(spec["expirationSeconds"], 86400);
  EXPECT_EQ(spec["usages"],
            (nlohmann::json{"digital signature", "key encipherment", "server auth"}));
}

std::string with_status(const std::string& status) {
  return R"({"metadata":{"name":"r","uid":"u"},"status":)" + status + "}";
}

TEST(SigningApi, StatesAreRead) {
  auto state = parse_signing_request(with_status("{}"));
  ASSERT_TRUE(state);
  EXPECT_EQ(state->name, "r");
  EXPECT_EQ(state->uid, "u");
  EXPECT_FALSE(state->approved);
  state = parse_signing_request(
      with_status(R"({"conditions":[{"type":"Approved","reason":"x"}],"certificate":"UEVN"})"));
  ASSERT_TRUE(state);
  EXPECT_TRUE(state->approved);
  EXPECT_EQ(state->certificate_pem, "PEM");
  state = parse_signing_request(
      with_status(R"({"conditions":[{"type":"Denied","reason":"No","message":"not you"}]})"));
  EXPECT_EQ(state->denied, "No: not you");
  state = parse_signing_request(with_status(R"({"conditions":[{"type":"Failed"}]})"));
  EXPECT_EQ(state->failed, "no reason given");
}

TEST(SigningApi, WhatIsNoneIsRefused) {
  for (const char* text :
       {"", "null", "[]", "{}", R"({"metadata":[]})", R"({"metadata":{"name":"r"}})"}) {
    EXPECT_FALSE(parse_signing_request(text)) << text;
  }
  for (const char* status : {"[]", "3", R"({"conditions":{}})", R"({"conditions":[3,{}]})"}) {
    EXPECT_TRUE(parse_signing_request(with_status(status))) << status;
  }
}

}  // namespace
}  // namespace holdfast::agent
