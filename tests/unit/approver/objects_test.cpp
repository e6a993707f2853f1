#include "approver/objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace holdfast::approver {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kItem = R"({"metadata":{"name":"r","uid":"u","resourceVersion":"7"},
  "spec":{"signerName":"s","username":"system:node:n1","groups":["system:nodes"],
  "request":"UEVN","usages":["server auth"],"expirationSeconds":600},"status":{}})";

std::string list_of(const std::string& item) {
  return R"({"kind":"CertificateSigningRequestList","metadata":{"resourceVersion":"9"},"items":[)" +
         item + "]}";
}

bool settled(const std::string& status) {
  auto item = nlohmann::json::parse(kItem);
  item["status"] = nlohmann::json::parse(status);
  return parse_requests(list_of(item.dump()))->items.at(0).request.settled;
}

TEST(Objects, RequestsAreRead) {
  const auto list = parse_requests(list_of(kItem));
  ASSERT_TRUE(list);
  EXPECT_EQ(list->resource_version, "9");
  ASSERT_EQ(list->items.size(), 1U);
  const auto& request = list->items[0].request;
  EXPECT_EQ(request.name, "r");
  EXPECT_EQ(request.uid, "u");
  EXPECT_EQ(request.signer, "s");
  EXPECT_EQ(request.username, "system:node:n1");
  EXPECT_THAT(request.groups, ElementsAre("system:nodes"));
  EXPECT_EQ(request.request_pem, "PEM");
  EXPECT_THAT(request.usages, ElementsAre("server auth"));
  EXPECT_EQ(request.expiration_seconds, 600);
  EXPECT_FALSE(request.settled);
}

TEST(Objects, WhatIsDecidedIsSettled) {
  EXPECT_FALSE(settled("{}"));
  EXPECT_FALSE(settled(R"({"conditions":[]})"));
  for (const char* type : {"Approved", "Denied", "Failed"}) {
    EXPECT_TRUE(settled(R"({"conditions":[{"type":")" + std::string{type} + R"("}]})"));
  }
  EXPECT_TRUE(settled(R"({"certificate":"QQ=="})"));
}

TEST(Objects, WhatIsNoneIsRefused) {
  for (const char* text : {"", "[]", "null", "{}", R"({"kind":"PodList","items":[]})"}) {
    EXPECT_FALSE(parse_requests(text)) << text;
  }
  // Items of any shape are read as far as they go: they meet the rules with what they have.
  EXPECT_TRUE(parse_requests(list_of(R"(3,{"spec":[]},{"spec":{"groups":"x","request":7}})")));
  EXPECT_FALSE(parse_event("{}"));
  EXPECT_FALSE(parse_node_labels("[]"));
}

TEST(Objects, Events) {
  const auto added = parse_event(R"({"type":"ADDED","object":)" + std::string{kItem} + "}");
  ASSERT_TRUE(added);
  ASSERT_TRUE(added->object);
  EXPECT_EQ(added->object->request.name, "r");
  const auto error = parse_event(R"({"type":"ERROR","object":{"code":410}})");
  ASSERT_TRUE(error);
  EXPECT_EQ(error->type, "ERROR");
  EXPECT_FALSE(error->object);
}

TEST(Objects, AnApprovalChangesNothingElse) {
  const auto list = parse_requests(list_of(kItem));
  auto sent = nlohmann::json::parse(approval_of(list->items[0], "2026-01-01T00:00:00Z"));
  EXPECT_EQ(sent["kind"], "CertificateSigningRequest");
  EXPECT_EQ(sent["metadata"]["resourceVersion"], "7");
  const auto conditions = sent["status"]["conditions"];
  ASSERT_EQ(conditions.size(), 1U);
  EXPECT_EQ(conditions[0]["type"], "Approved");
  EXPECT_EQ(conditions[0]["status"], "True");
  sent["status"].erase("conditions");
  sent.erase("kind");
  sent.erase("apiVersion");
  EXPECT_EQ(sent, nlohmann::json::parse(kItem));
}

TEST(Objects, NodeLabels) {
  EXPECT_EQ(parse_node_labels(R"({"metadata":{"labels":{"a":"1","b":""}}})").value(),
            (Labels{{"a", "1"}, {"b", ""}}));
  EXPECT_THAT(parse_node_labels(R"({"metadata":{}})").value(), IsEmpty());
}

}  // namespace
}  // namespace holdfast::approver
