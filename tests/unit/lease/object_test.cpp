#include "lease/object.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "unit/kube/messages.h"

namespace holdfast::lease {
namespace {

using kube::Encoding;
using nlohmann::json;
using protozero::pbf_writer;
using namespace std::chrono_literals;

const kube::TypeMeta kType{.api_version = "coordination.k8s.io/v1", .kind = "Lease"};
constexpr std::int64_t kSeconds = 1'800'000'000;

struct Shape {
  std::string version = "100", holder = "edge-1", zone = "a";
  std::int32_t micros = 123'456;
  bool managed = false, selflink = false;
};

json json_lease(const Shape& shape) {
  json lease{{"kind", "Lease"},
             {"apiVersion", "coordination.k8s.io/v1"},
             {"metadata",
              {{"name", "edge-1"},
               {"namespace", "kube-node-lease"},
               {"uid", "u1"},
               {"resourceVersion", shape.version},
               {"labels", {{"zone", shape.zone}}}}},
             {"spec", {{"holderIdentity", shape.holder}, {"leaseDurationSeconds", 40}}}};
  char text[40];
  std::snprintf(text, sizeof text, "2027-01-15T08:00:00.%06dZ", shape.micros);
  lease["spec"]["renewTime"] = text;
  if (shape.managed) lease["metadata"]["managedFields"] = json::array({{{"manager", "kubelet"}}});
  if (shape.selflink) lease["metadata"]["creationTimestamp"] = nullptr;
  return lease;
}

std::string protobuf_lease(const Shape& shape) {
  std::string raw;
  pbf_writer message{raw};
  {
    pbf_writer meta{message, 1};
    meta.add_string(1, "edge-1");
    if (shape.selflink) meta.add_string(4, "");
    meta.add_string(3, "kube-node-lease");
    meta.add_string(5, "u1");
    meta.add_string(6, shape.version);
    pbf_writer label{meta, 11};
    label.add_string(1, "zone");
    label.add_string(2, shape.zone);
    label.commit();
    if (shape.managed) meta.add_string(17, "some manager");
  }
  {
    pbf_writer spec{message, 2};
    spec.add_string(1, shape.holder);
    spec.add_int32(2, 40);
    pbf_writer time{spec, 4};
    time.add_int64(1, kSeconds);
    time.add_int32(2, shape.micros * 1000);
    time.commit();
    spec.add_int32(5, 0);
  }
  return kube::testing::envelope(kType, raw);
}

class LeaseObjectTest : public testing::TestWithParam<Encoding> {
 protected:
  static std::string lease(const Shape& shape) {
    return GetParam() == Encoding::kJson ? json_lease(shape).dump() : protobuf_lease(shape);
  }
  static LeaseObject parse(const std::string& bytes) {
    auto parsed = parse_lease(GetParam(), bytes);
    EXPECT_TRUE(parsed) << parsed.error().to_string();
    return parsed ? *parsed : LeaseObject{};
  }
};

TEST_P(LeaseObjectTest, ReadsWhatSteeringNeeds) {
  const auto parsed = parse(lease({}));
  EXPECT_EQ(parsed.uid, "u1");
  EXPECT_EQ(parsed.resource_version, 100u);
  EXPECT_EQ(parsed.holder, "edge-1");
  EXPECT_EQ(parsed.duration, 40s);
  ASSERT_TRUE(parsed.renewed);
  EXPECT_EQ(*parsed.renewed, RenewTime{std::chrono::seconds{kSeconds} + 123'456us});
}

TEST_P(LeaseObjectTest, RenewTimeVersionAndManagersMakeNoDifference) {
  const auto one = parse(lease({}));
  const auto other =
      parse(lease({.version = "107", .micros = 999'999, .managed = true, .selflink = true}));
  EXPECT_EQ(one.rest, other.rest);
}

TEST_P(LeaseObjectTest, AnythingElseDoes) {
  const auto one = parse(lease({}));
  EXPECT_NE(one.rest, parse(lease({.holder = "edge-2"})).rest);
  EXPECT_NE(one.rest, parse(lease({.zone = "b"})).rest);
}

TEST_P(LeaseObjectTest, EditsOneThingAndLeavesTheRest) {
  const auto before = lease({.managed = true});
  const auto versioned = with_resource_version(GetParam(), before, 4711);
  ASSERT_TRUE(versioned);
  const auto renewed = with_renew_time(GetParam(), *versioned,
                                       RenewTime{std::chrono::seconds{kSeconds} + 5s + 42us});
  ASSERT_TRUE(renewed);
  const auto after = parse(*renewed);
  EXPECT_EQ(after.resource_version, 4711u);
  EXPECT_EQ(*after.renewed, RenewTime{std::chrono::seconds{kSeconds} + 5s + 42us});
  EXPECT_EQ(after.rest, parse(before).rest);
  if (GetParam() == Encoding::kJson) {
    auto expected = json::parse(before);
    expected["metadata"]["resourceVersion"] = "4711";
    expected["spec"]["renewTime"] = "2027-01-15T08:00:05.000042Z";
    EXPECT_EQ(json::parse(*renewed), expected);
  } else {
    EXPECT_NE(renewed->find("some manager"), std::string::npos);
  }
}

TEST_P(LeaseObjectTest, RefusesWhatIsNoLease) {
  EXPECT_FALSE(parse_lease(GetParam(), ""));
  EXPECT_FALSE(parse_lease(GetParam(), "{}"));
  EXPECT_FALSE(parse_lease(GetParam(), "garbage"));
  const auto whole = lease({});
  for (std::size_t cut = 0; cut < whole.size(); cut += 3) {
    (void)parse_lease(GetParam(), whole.substr(0, cut));  // no crash, whatever it says
    (void)with_renew_time(GetParam(), whole.substr(0, cut), {});
  }
}

INSTANTIATE_TEST_SUITE_P(Encodings, LeaseObjectTest,
                         testing::Values(Encoding::kJson, Encoding::kProtobuf),
                         [](const auto& info) {
                           return info.param == Encoding::kJson ? "json" : "protobuf";
                         });

TEST(LeaseObject, AnotherKindIsNoLease) {
  auto other = json_lease({});
  other["kind"] = "ConfigMap";
  other["apiVersion"] = "v1";
  EXPECT_FALSE(parse_lease(Encoding::kJson, other.dump()));
}

}  // namespace
}  // namespace holdfast::lease
