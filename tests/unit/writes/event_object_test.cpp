#include "writes/event_object.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "unit/writes/messages.h"
#include "writes/protobuf.h"

namespace holdfast::writes {
namespace {

constexpr auto kJson = kube::Encoding::kJson;
constexpr auto kProtobuf = kube::Encoding::kProtobuf;
const kube::GroupVersionResource kCore{"", "v1", "events"};
const kube::GroupVersionResource kNew{"events.k8s.io", "v1", "events"};
const Invented kInvented{.suffix = "bcdfg", .uid = "made-up", .created = 1'800'000'000};

std::optional<TakenEvent> take(const std::string& json,
                               const kube::GroupVersionResource& gvr = kCore) {
  return take_event(kJson, Slice::copy(json), gvr, "web", kInvented);
}

TEST(TakeEvent, EchoesTheClientsObject) {
  const auto taken =
      take(R"({"kind":"Event","apiVersion":"v1","metadata":{"name":"pod.17","namespace":"web",)"
           R"("creationTimestamp":null},"reason":"Started","count":1})");
  ASSERT_TRUE(taken);
  const auto answer = nlohmann::json::parse(taken->answer);
  EXPECT_EQ(answer, nlohmann::json::parse(
                        R"({"kind":"Event","apiVersion":"v1","metadata":{"name":"pod.17",)"
                        R"("namespace":"web","uid":"made-up",)"
                        R"("creationTimestamp":"2027-01-15T08:00:00Z"},"reason":"Started",)"
                        R"("count":1})"));
  // What goes up is the client's own.
  const auto upload = nlohmann::json::parse(taken->upload);
  EXPECT_FALSE(upload["metadata"].contains("uid"));
  EXPECT_EQ(upload["reason"], "Started");
}

TEST(TakeEvent, ANameThatWasToldIsTheNameThatIsSent) {
  const auto taken = take(R"({"metadata":{"generateName":"pod."},"reason":"Started"})");
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->name, "pod.bcdfg");
  for (const auto& body : {taken->answer, taken->upload}) {
    const auto object = nlohmann::json::parse(body);
    EXPECT_EQ(object["metadata"]["name"], "pod.bcdfg");
    EXPECT_EQ(object["metadata"]["namespace"], "web");
    EXPECT_EQ(object["kind"], "Event");
    EXPECT_EQ(object["apiVersion"], "v1");
  }
}

TEST(TakeEvent, InProtobufToo) {
  const auto meta = message(1, "") + message(2, "pod.") + message(3, "web") + message(5, "") +
                    message(8, "") + message(11, message(1, "label") + message(2, "kept"));
  const auto rest = message(3, "Started") + message(4, "a text");
  const auto taken =
      take_event(kProtobuf, envelope("events.k8s.io/v1", "Event", message(1, meta) + rest), kNew,
                 "web", kInvented);
  ASSERT_TRUE(taken);
  const auto answer = kube::parse_object(kProtobuf, Slice::copy(taken->answer));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->type, (kube::TypeMeta{"events.k8s.io/v1", "Event"}));
  EXPECT_EQ(answer->meta.name, "pod.bcdfg");
  EXPECT_EQ(answer->meta.ns, "web");
  EXPECT_EQ(answer->meta.uid, "made-up");
  EXPECT_EQ(answer->meta.labels.at("label"), "kept");
  EXPECT_TRUE(answer->body.view().ends_with(rest));
  const auto upload = kube::parse_object(kProtobuf, Slice::copy(taken->upload));
  ASSERT_TRUE(upload);
  EXPECT_EQ(upload->meta.name, "pod.bcdfg");
  EXPECT_EQ(upload->meta.uid, "");
}

TEST(TakeEvent, WhatTheApiServerWouldRefuseIsNotTaken) {
  EXPECT_FALSE(take(R"({"metadata":{"name":"a","namespace":"other"}})"));
  EXPECT_FALSE(take(R"({"metadata":{}})"));
  EXPECT_FALSE(take(R"({"reason":"x"})"));
  EXPECT_FALSE(take(R"({"kind":"Pod","metadata":{"name":"a"}})"));
  EXPECT_FALSE(take(R"({"kind":"Event","apiVersion":"v1","metadata":{"name":"a"}})", kNew));
  EXPECT_FALSE(take("[]"));
  EXPECT_FALSE(take(""));
  EXPECT_FALSE(take_event(kProtobuf, Slice::copy("k8s"), kCore, "web", kInvented));
}

TEST(Invented, LooksLikeTheApiServersOwn) {
  const auto one = Invented::now(5), two = Invented::now(5);
  EXPECT_TRUE(std::regex_match(
      one.uid, std::regex{"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"}))
      << one.uid;
  EXPECT_TRUE(std::regex_match(one.suffix, std::regex{"[bcdfghjklmnpqrstvwxz2456789]{5}"}));
  EXPECT_NE(one.uid, two.uid);
  EXPECT_EQ(one.created, 5);
}

}  // namespace
}  // namespace holdfast::writes
