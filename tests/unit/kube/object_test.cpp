#include "holdfast/kube/object.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "unit/kube/messages.h"

namespace holdfast::kube {
namespace {

const TypeMeta kPod{"v1", "Pod"};

Result<Object> parse_json(std::string text) {
  return parse_object(Encoding::kJson, Slice::own(std::move(text)));
}

TEST(ResourceVersion, IsADecimalNumber) {
  ResourceVersion v = 1;
  EXPECT_TRUE(parse_resource_version("0", v));
  EXPECT_EQ(v, 0U);
  EXPECT_TRUE(parse_resource_version("18446744073709551615", v));
  EXPECT_EQ(v, 18446744073709551615U);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616", "abc"}) {
    v = 7;
    EXPECT_FALSE(parse_resource_version(text, v)) << text;
    EXPECT_EQ(v, 0U) << text;
  }
}

TEST(JsonObject, ReadsMetadata) {
  const auto o = parse_json(
      R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"d","uid":"u1",)"
      R"("resourceVersion":"77","labels":{"app":"a\"b","x":""},"annotations":{"k":"v"}},)"
      R"("spec":{"n":1.50,"big":12345678901234567890123,"s":"\u00e9\/ {"}})"
      "\n");
  ASSERT_TRUE(o) << o.error().to_string();
  EXPECT_EQ(o->type, kPod);
  EXPECT_EQ(o->meta.name, "web");
  EXPECT_EQ(o->meta.ns, "d");
  EXPECT_EQ(o->meta.uid, "u1");
  EXPECT_EQ(o->meta.resource_version, 77U);
  EXPECT_EQ(o->meta.labels.at("app"), "a\"b");
  EXPECT_EQ(o->meta.labels.at("x"), "");
  // Numbers and escapes stay as the server wrote them.
  EXPECT_EQ(o->body.view(),
            R"({"metadata":{"name":"web","namespace":"d","uid":"u1","resourceVersion":"77",)"
            R"("labels":{"app":"a\"b","x":""},"annotations":{"k":"v"}},)"
            R"("spec":{"n":1.50,"big":12345678901234567890123,"s":"\u00e9\/ {"}})");
}

TEST(JsonObject, GetsAnotherResourceVersion) {
  const auto o = parse_json(
      R"({"kind":"Pod","apiVersion":"v1","spec":{"resourceVersion":"1","metadata":{"resourceVersion":"2"}},)"
      R"("metadata":{"name":"web","annotations":{"resourceVersion":"3"},"resourceVersion":"77",)"
      R"("labels":{"a":"b"}},"x":1.50})");
  ASSERT_TRUE(o);
  const auto changed = restamp(Encoding::kJson, o->body.view(), 12345);
  ASSERT_TRUE(changed) << changed.error().to_string();
  EXPECT_EQ(
      changed->view(),
      R"({"spec":{"resourceVersion":"1","metadata":{"resourceVersion":"2"}},)"
      R"("metadata":{"name":"web","annotations":{"resourceVersion":"3"},"resourceVersion":"12345",)"
      R"("labels":{"a":"b"}},"x":1.50})");
  for (const char* text : {R"({"metadata":{"name":"web"}})", R"({"spec":{}})", "{", ""}) {
    EXPECT_FALSE(restamp(Encoding::kJson, text, 5)) << text;
  }
}

TEST(JsonObject, IsMinifiedAndLosesItsTypeWhereverItStands) {
  const std::string want = R"({"a":[1, {"kind":"x"}],"metadata":{"name":"n"}})";
  const auto minified = nlohmann::json::parse(want).dump();
  for (const char* text : {
           R"({"kind":"K","apiVersion":"g/v1","a":[1,{"kind":"x"}],"metadata":{"name":"n"}})",
           R"({"apiVersion":"g/v1","a":[1,{"kind":"x"}],"kind":"K","metadata":{"name":"n"}})",
           R"({"a":[1,{"kind":"x"}],"metadata":{"name":"n"},"kind":"K","apiVersion":"g/v1"})",
           R"({"a":[1,{"kind":"x"}],"apiVersion":"g/v1","metadata":{"name":"n"},"kind":"K"})",
           " {\n  \"kind\" : \"K\",\n\t\"apiVersion\": \"g/v1\",\n  \"a\": [ 1, { \"kind\": \"x\" "
           "} ],\n  \"metadata\": { \"name\": \"n\" }\n}\n\n",
       }) {
    const auto o = parse_json(text);
    ASSERT_TRUE(o) << text << o.error().to_string();
    EXPECT_EQ(o->type, (TypeMeta{"g/v1", "K"})) << text;
    EXPECT_EQ(o->body.view(), minified) << text;
  }
  EXPECT_EQ(parse_json(R"({"kind":"K","apiVersion":"v1"})")->body.view(), "{}");
  EXPECT_EQ(parse_json(R"({})")->body.view(), "{}");
}

TEST(JsonObject, ToleratesNulls) {
  const auto o = parse_json(
      R"({"kind":"K","metadata":{"name":"n","labels":null,"uid":null,"annotations":null}})");
  ASSERT_TRUE(o) << o.error().to_string();
  EXPECT_EQ(o->meta.name, "n");
  EXPECT_TRUE(parse_json(R"({"kind":"K","metadata":null})"));
}

TEST(JsonObject, RefusesWhatIsNone) {
  for (const char* text : {"",
                           " ",
                           "[]",
                           "1",
                           "null",
                           "\"x\"",
                           "{",
                           "}",
                           "{}{}",
                           "{} x",
                           R"({"a")",
                           R"({"a":)",
                           R"({"metadata":{"name":1}})",
                           R"({"metadata":[]})",
                           R"({"metadata":{"labels":{"a":1}}})",
                           R"({"metadata":{"labels":[]}})",
                           R"({"kind":1})",
                           R"({"a":"b)",
                           "{\"a\":\"\xff\"}",
                           R"({"metadata":{"name":"x"},"a":1)",
                           R"({"a":1 "b":2})",
                           R"({"a":1]})"}) {
    EXPECT_FALSE(parse_json(text)) << text;
  }
}

TEST(JsonObject, RendersAsGetAnswers) {
  const std::string body = R"({"metadata":{"name":"n"}})";
  EXPECT_EQ(render_object(Encoding::kJson, kPod, body),
            "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n\"}}\n");
  EXPECT_EQ(render_object(Encoding::kJson, {}, body), body + "\n");
  EXPECT_EQ(render_object(Encoding::kJson, kPod, "{}"),
            "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}\n");
}

TEST(JsonObject, RoundTripsALargeOne) {
  // Beyond the kept parser's size, with strings across all block borders.
  std::string text = R"({"metadata":{"name":"big"},"data":[)";
  for (int i = 0; i < 40000; ++i)
    text += (i ? "," : "") + ("\"" + std::string(static_cast<std::size_t>(i % 70), 'x') + "\\\\\"");
  text += "]}";
  const auto o = parse_json(text);
  ASSERT_TRUE(o) << o.error().to_string();
  EXPECT_EQ(o->body.view(), text);
}

TEST(ProtobufObject, ReadsMetadata) {
  const auto body = testing::protobuf_body("web", "77", {{"app", "a"}, {"x", ""}});
  const auto bytes = testing::envelope(kPod, body);
  const auto o = parse_object(Encoding::kProtobuf, Slice::copy(bytes));
  ASSERT_TRUE(o) << o.error().to_string();
  EXPECT_EQ(o->type, kPod);
  EXPECT_EQ(o->meta.name, "web");
  EXPECT_EQ(o->meta.ns, "default");
  EXPECT_EQ(o->meta.uid, "uid-web");
  EXPECT_EQ(o->meta.resource_version, 77U);
  EXPECT_EQ(o->meta.labels.size(), 2U);
  EXPECT_EQ(o->meta.labels.at("app"), "a");
  EXPECT_EQ(o->body.view(), body);
  EXPECT_EQ(render_object(Encoding::kProtobuf, o->type, o->body.view()), bytes);
}

TEST(ProtobufObject, GetsAnotherResourceVersion) {
  const auto body = testing::protobuf_body("web", "77", {{"a", "b"}}, {{"c", "d"}});
  for (const ResourceVersion version : {ResourceVersion{5}, ResourceVersion{12345678901}}) {
    const auto changed = restamp(Encoding::kProtobuf, body, version);
    ASSERT_TRUE(changed) << changed.error().to_string();
    EXPECT_EQ(changed->view(),
              testing::protobuf_body("web", std::to_string(version), {{"a", "b"}}, {{"c", "d"}}));
  }
  EXPECT_FALSE(restamp(Encoding::kProtobuf, "\x12\x01x", 5));
  EXPECT_FALSE(restamp(Encoding::kProtobuf, "garbage", 5));
}

TEST(ProtobufObject, RefusesWhatIsNone) {
  const auto body = testing::protobuf_body("web", "77");
  const auto bytes = testing::envelope(kPod, body);
  const auto parse = [](std::string text) {
    return parse_object(Encoding::kProtobuf, Slice::own(std::move(text)));
  };
  EXPECT_FALSE(parse(""));
  EXPECT_FALSE(parse("k8s"));
  EXPECT_FALSE(parse(std::string("k8s\0", 4)));
  EXPECT_FALSE(parse("{}"));
  EXPECT_FALSE(parse(testing::envelope(kPod, "\x0a\x7f")));
  EXPECT_FALSE(parse(testing::envelope({"v1", "Status"}, "\x0a\x7f")));
  // Cut anywhere but between the envelope's last, empty fields.
  for (std::size_t size = 0; size < bytes.size() - 4; ++size)
    EXPECT_FALSE(parse(bytes.substr(0, size))) << size;
  std::string foreign = std::string("k8s\0", 4);
  protozero::pbf_writer unknown{foreign};
  unknown.add_bytes(2, "{}");
  unknown.add_string(4, "application/json");
  EXPECT_FALSE(parse(foreign));
}

TEST(ProtobufObject, SurvivesGarbage) {
  std::mt19937 random{3};
  const auto good = testing::envelope(kPod, testing::protobuf_body("web", "77", {{"a", "b"}}));
  for (int i = 0; i < 50000; ++i) {
    auto bytes = good;
    for (auto n = 1 + random() % 4; n > 0; --n)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    (void)parse_object(Encoding::kProtobuf, Slice::own(bytes));
  }
}

TEST(JsonObject, SurvivesGarbage) {
  std::mt19937 random{5};
  const std::string good =
      R"({"kind":"K","apiVersion":"v1","metadata":{"name":"n","labels":{"a":"b\n"}},"x":[1,null]})";
  const std::string alphabet = "{}[]\",:\\ nk1\x01\xff";
  for (int i = 0; i < 50000; ++i) {
    auto text = good;
    for (auto n = 1 + random() % 4; n > 0; --n)
      text[random() % text.size()] = alphabet[random() % alphabet.size()];
    (void)parse_json(text);
  }
}

}  // namespace
}  // namespace holdfast::kube
