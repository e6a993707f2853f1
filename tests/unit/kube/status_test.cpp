#include "holdfast/kube/status_reasons.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <protozero/pbf_reader.hpp>

namespace holdfast::kube {
namespace {

nlohmann::json json(const Status& status) {
  return nlohmann::json::parse(render_status(Encoding::kJson, status));
}

TEST(Status, NotFoundReadsAsTheServers) {
  const auto got = json(not_found({"", "v1", "pods"}, "x"));
  EXPECT_EQ(got, nlohmann::json::parse(
                     R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)"
                     R"("message":"pods \"x\" not found","reason":"NotFound",)"
                     R"("details":{"name":"x","kind":"pods"},"code":404})"));
  EXPECT_EQ(not_found({"apps", "v1", "deployments"}, "x").message,
            "deployments.apps \"x\" not found");
  EXPECT_EQ(not_found({"", "v1", "pods"}, "a\"b\n").message, "pods \"a\\\"b\\x0a\" not found");
}

TEST(Status, TooLargeResourceVersionReadsAsTheServers) {
  const auto got = json(too_large_resource_version(99, 42));
  EXPECT_EQ(got, nlohmann::json::parse(
                     R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)"
                     R"("message":"Timeout: Too large resource version: 99, current: 42",)"
                     R"("reason":"Timeout","details":{"causes":[{"reason":)"
                     R"("ResourceVersionTooLarge","message":"Too large resource version"}],)"
                     R"("retryAfterSeconds":1},"code":504})"));
}

TEST(Status, IsReadFromBothEncodings) {
  for (const auto encoding : {Encoding::kJson, Encoding::kProtobuf}) {
    const auto text = render_status(encoding, not_found({"", "v1", "pods"}, "x"));
    const auto object = parse_object(encoding, Slice::copy(text));
    ASSERT_TRUE(object);
    const auto status = read_status(encoding, object->body.view());
    EXPECT_EQ(status.reason, "NotFound");
    EXPECT_EQ(status.message, R"(pods "x" not found)");
    EXPECT_EQ(read_status(encoding, "{").reason, "");
    EXPECT_EQ(read_status(encoding, {}).reason, "");
  }
  EXPECT_EQ(read_status(Encoding::kJson, R"({"message":""reason":"NotFound""})").reason, "");
}

TEST(Status, OthersHaveTheirCodes) {
  EXPECT_EQ(json(bad_request("no"))["code"], 400);
  EXPECT_EQ(json(bad_request("no"))["reason"], "BadRequest");
  EXPECT_EQ(json(unauthorized())["code"], 401);
  EXPECT_EQ(json(unauthorized())["message"], "Unauthorized");
  EXPECT_FALSE(json(unauthorized()).contains("details"));
  EXPECT_EQ(json(expired())["code"], 410);
  EXPECT_EQ(json(expired("gone"))["message"], "gone");
  EXPECT_EQ(json(unavailable("away", 3))["code"], 503);
  EXPECT_EQ(json(unavailable("away", 3))["details"]["retryAfterSeconds"], 3);
}

TEST(Status, NeverBreaksItsJson) {
  const auto got = json(not_found({"g", "v1", "r\"\\\x01"}, "\xff\xfe\"\n\x7f"));
  EXPECT_EQ(got["code"], 404);
}

TEST(Status, Protobuf) {
  const auto bytes = render_status(Encoding::kProtobuf, too_large_resource_version(99, 42));
  ASSERT_EQ(bytes.substr(0, 4), std::string("k8s\0", 4));
  protozero::pbf_reader unknown{bytes.data() + 4, bytes.size() - 4};
  ASSERT_TRUE(unknown.next(1));
  auto type = unknown.get_message();
  ASSERT_TRUE(type.next(1));
  EXPECT_EQ(type.get_string(), "v1");
  ASSERT_TRUE(type.next(2));
  EXPECT_EQ(type.get_string(), "Status");
  ASSERT_TRUE(unknown.next(2));
  auto status = unknown.get_message();
  ASSERT_TRUE(status.next(2));
  EXPECT_EQ(status.get_string(), "Failure");
  ASSERT_TRUE(status.next(3));
  EXPECT_EQ(status.get_string(), "Timeout: Too large resource version: 99, current: 42");
  ASSERT_TRUE(status.next(4));
  EXPECT_EQ(status.get_string(), "Timeout");
  ASSERT_TRUE(status.next(5));
  auto details = status.get_message();
  ASSERT_TRUE(details.next(4));
  auto cause = details.get_message();
  ASSERT_TRUE(cause.next(1));
  EXPECT_EQ(cause.get_string(), "ResourceVersionTooLarge");
  ASSERT_TRUE(details.next(5));
  EXPECT_EQ(details.get_int32(), 1);
  ASSERT_TRUE(status.next(6));
  EXPECT_EQ(status.get_int32(), 504);

  const auto parsed = parse_object(Encoding::kProtobuf, Slice::copy(bytes));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->type, (TypeMeta{"v1", "Status"}));
  EXPECT_EQ(parsed->meta.name, "");
}

}  // namespace
}  // namespace holdfast::kube
