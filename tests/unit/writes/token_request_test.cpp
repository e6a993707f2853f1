#include "writes/token_request.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "holdfast/identity/credential.h"
#include "unit/writes/messages.h"
#include "writes/protobuf.h"

namespace holdfast::writes {
namespace {

constexpr auto kJson = kube::Encoding::kJson;
constexpr auto kProtobuf = kube::Encoding::kProtobuf;
constexpr std::int64_t kAsked = 1'800'000'000;

const std::string kBound =
    R"("boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"web-0","uid":"u-1"})";

std::optional<TokenSpec> json_spec(const std::string& spec) {
  return read_token_spec(
      kJson, Slice::own(R"({"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1",)"
                        R"("metadata":{"creationTimestamp":null},"spec":)" +
                        spec + R"(,"status":{"token":"","expirationTimestamp":null}})"));
}

std::string protobuf_bound(const std::string& uid = "u-1") {
  return message(1, "Pod") + message(2, "v1") + message(3, "web-0") + message(4, uid);
}
std::optional<TokenSpec> protobuf_spec(const std::string& spec) {
  return read_token_spec(kProtobuf, envelope("authentication.k8s.io/v1", "TokenRequest",
                                             message(1, "") + message(2, spec) + message(3, "")));
}

TEST(TokenSpec, IsTheSameInBothEncodings) {
  const auto json = json_spec(R"({"audiences":["a","b"],"expirationSeconds":3607,)" + kBound + "}");
  const auto protobuf = protobuf_spec(message(1, "a") + message(1, "b") +
                                      message(3, protobuf_bound()) + number(4, 3607));
  ASSERT_TRUE(json);
  ASSERT_TRUE(protobuf);
  EXPECT_EQ(*json, *protobuf);
  EXPECT_EQ(json->canonical(), protobuf->canonical());
  EXPECT_EQ(json->audiences, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(json->uid, "u-1");
}

TEST(TokenSpec, DiffersInEachOfItsParts) {
  const std::string same = R"({"audiences":["a","b"],"expirationSeconds":3607,)" + kBound + "}";
  const std::string others[] = {
      R"({"audiences":["b","a"],"expirationSeconds":3607,)" + kBound + "}",
      R"({"audiences":["a b"],"expirationSeconds":3607,)" + kBound + "}",
      R"({"expirationSeconds":3607,)" + kBound + "}",
      R"({"audiences":["a","b"],"expirationSeconds":3608,)" + kBound + "}",
      R"({"audiences":["a","b"],"expirationSeconds":3607})",
      R"({"audiences":["a","b"],"expirationSeconds":3607,"boundObjectRef":)"
      R"({"kind":"Pod","apiVersion":"v1","name":"web-0","uid":"u-2"}})",
      R"({"audiences":["a","b"],"expirationSeconds":3607,"boundObjectRef":)"
      R"({"kind":"Pod","apiVersion":"v1","name":"web-1","uid":"u-1"}})"};
  const auto wanted = json_spec(same);
  ASSERT_TRUE(wanted);
  for (const auto& text : others) {
    const auto other = json_spec(text);
    ASSERT_TRUE(other) << text;
    EXPECT_NE(wanted->canonical(), other->canonical()) << text;
  }
}

TEST(TokenSpec, WhatIsNotKnownIsLikeNothing) {
  EXPECT_FALSE(json_spec(R"({"expirationSeconds":3607,"attestations":{"a":["b"]}})"));
  EXPECT_FALSE(json_spec(R"({"expirationSeconds":"3607"})"));
  EXPECT_FALSE(json_spec(R"({"audiences":[1]})"));
  EXPECT_FALSE(json_spec(R"({"boundObjectRef":{"kind":"Pod","new":"x"}})"));
  EXPECT_FALSE(protobuf_spec(number(4, 3607) + message(5, "attested")));
  EXPECT_FALSE(protobuf_spec(message(3, protobuf_bound() + message(5, "x"))));
  EXPECT_FALSE(read_token_spec(kJson, Slice::copy(R"({"kind":"Pod","spec":{}})")));
  EXPECT_FALSE(read_token_spec(kJson, Slice::copy("{")));
  EXPECT_FALSE(read_token_spec(kProtobuf, Slice::copy("k8s")));
  EXPECT_TRUE(json_spec(R"({"audiences":null,"boundObjectRef":null,"expirationSeconds":null})"));
}

Slice json_answer(std::int64_t expires, std::int64_t seconds = 3607) {
  return Slice::own(R"({"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1",)"
                    R"("metadata":{"name":"app","namespace":"web"},"spec":{"audiences":["a"],)"
                    R"("expirationSeconds":)" +
                    std::to_string(seconds) + R"(},"status":{"token":")" + token(expires) +
                    R"(","expirationTimestamp":"2027-01-15T08:00:07Z"}})");
}

Slice protobuf_answer(std::int64_t expires) {
  return envelope("authentication.k8s.io/v1", "TokenRequest",
                  message(1, message(1, "app")) + message(2, message(1, "a") + number(4, 3607)) +
                      message(3, message(1, token(expires)) +
                                     message(2, number(1, kAsked + 3607) + number(2, 0))));
}

// The status of a replayed answer: its token, and until when it says to be good.
std::pair<std::string, std::int64_t> status_of(const std::string& body) {
  if (body.starts_with("k8s")) {
    const auto object = kube::parse_object(kProtobuf, Slice::copy(body)).value();
    std::pair<std::string, std::int64_t> out;
    const auto fields = protobuf_fields(object.body.view()).value();
    for (const auto& field : fields) {
      if (field.number != 3) continue;
      const auto parts = protobuf_fields(field.bytes).value();
      for (const auto& part : parts) {
        if (part.number == 1) out.first = part.bytes;
        if (part.number == 2) out.second = protobuf_fields(part.bytes)->front().varint.value();
      }
    }
    return out;
  }
  const auto status = nlohmann::json::parse(body)["status"];
  std::tm time{};
  const std::string until = status["expirationTimestamp"];
  EXPECT_EQ(until.back(), 'Z');
  strptime(until.c_str(), "%Y-%m-%dT%H:%M:%SZ", &time);
  return {status["token"], timegm(&time)};
}

class Replay : public testing::TestWithParam<kube::Encoding> {
 protected:
  static std::optional<TokenAnswer> answer(std::int64_t expires) {
    return read_token_answer(GetParam(),
                             GetParam() == kJson ? json_answer(expires) : protobuf_answer(expires));
  }
};

TEST_P(Replay, MovesTheTimeAndNothingElse) {
  const auto year = kAsked + 365 * 86'400;
  const auto kept = answer(year);
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->expires, year);
  for (const std::int64_t later : {10, 7200, 86'400}) {
    const auto body = replay(*kept, kAsked + later);
    ASSERT_TRUE(body);
    EXPECT_EQ(status_of(*body), std::pair(token(year), kAsked + later + 3607));
    const auto again = kube::parse_object(GetParam(), Slice::copy(*body));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->type, (kube::TypeMeta{"authentication.k8s.io/v1", "TokenRequest"}));
    EXPECT_EQ(again->meta.name, "app");
  }
}

TEST_P(Replay, NeverPromisesMoreThanTheTokenSays) {
  const auto kept = answer(kAsked + 5000);
  ASSERT_TRUE(kept);
  EXPECT_EQ(status_of(*replay(*kept, kAsked + 1000)).second, kAsked + 1000 + 3607);
  EXPECT_EQ(status_of(*replay(*kept, kAsked + 2000)).second, kAsked + 5000);
  EXPECT_EQ(status_of(*replay(*kept, kAsked + 4999)).second, kAsked + 5000);
  EXPECT_FALSE(replay(*kept, kAsked + 5000));
  EXPECT_FALSE(replay(*kept, kAsked + 90'000));
}

TEST_P(Replay, SurvivesTheDisk) {
  const auto kept = answer(kAsked + 5000);
  ASSERT_TRUE(kept);
  const auto back = TokenAnswer::unpack(kept->pack());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->encoding, kept->encoding);
  EXPECT_EQ(back->body, kept->body);
  EXPECT_EQ(back->expires, kept->expires);
  EXPECT_FALSE(TokenAnswer::unpack(""));
  EXPECT_FALSE(TokenAnswer::unpack("\x02" + kept->pack().substr(1)));
}

INSTANTIATE_TEST_SUITE_P(Encodings, Replay, testing::Values(kJson, kProtobuf),
                         [](const auto& info) {
                           return info.param == kJson ? "Json" : "Protobuf";
                         });

TEST(TokenAnswer, NeedsATokenThatSaysWhenItExpires) {
  EXPECT_FALSE(read_token_answer(kJson, Slice::copy(R"({"kind":"Status","status":"Failure"})")));
  EXPECT_FALSE(read_token_answer(
      kJson, Slice::copy(R"({"kind":"TokenRequest","spec":{},"status":{"token":"opaque"}})")));
  EXPECT_FALSE(read_token_answer(kJson, json_answer(0)));
  EXPECT_FALSE(read_token_answer(kJson, Slice::copy("")));
}

TEST(TokenAnswer, WithoutATimeThatWasAskedForIsNotReplayed) {
  const auto kept = read_token_answer(kJson, json_answer(kAsked + 5000, 0));
  ASSERT_TRUE(kept);
  EXPECT_FALSE(replay(*kept, kAsked));
}

}  // namespace
}  // namespace holdfast::writes
