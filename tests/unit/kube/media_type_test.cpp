#include "holdfast/kube/media_type.h"

#include <gtest/gtest.h>

namespace holdfast::kube {
namespace {

const Representation kJson{};
const Representation kProtobuf{.encoding = Encoding::kProtobuf};
const Representation kTableV1{.transform = Transform::kTable, .transform_version = "v1"};
const Representation kTableBeta{.transform = Transform::kTable, .transform_version = "v1beta1"};

std::vector<Representation> parse(std::string_view accept) {
  std::vector<Representation> out;
  for (const auto& choice : parse_accept(accept)) out.push_back(choice.representation);
  return out;
}

TEST(Accept, BestFirst) {
  using List = std::vector<Representation>;
  EXPECT_EQ(parse(""), List{kJson});
  EXPECT_EQ(parse("*/*"), List{kJson});
  EXPECT_EQ(parse("*"), List{kJson});
  EXPECT_EQ(parse("application/*"), List{kJson});
  EXPECT_EQ(parse("application/json"), List{kJson});
  EXPECT_EQ(parse("application/vnd.kubernetes.protobuf,application/json"),
            (List{kProtobuf, kJson}));
  EXPECT_EQ(parse("application/vnd.kubernetes.protobuf;stream=watch,application/json"),
            (List{kProtobuf, kJson}));
  EXPECT_EQ(parse("application/vnd.kubernetes.protobuf;q=0.1, application/json"),
            (List{kJson, kProtobuf}));
  EXPECT_EQ(parse("*/*, application/vnd.kubernetes.protobuf"), (List{kProtobuf, kJson}));
  EXPECT_EQ(parse("application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v="
                  "v1beta1;g=meta.k8s.io,application/json"),
            (List{kTableV1, kTableBeta, kJson}));
  EXPECT_EQ(parse("Application/JSON ; charset=utf-8"), List{kJson});
}

TEST(Accept, LeavesOutWhatCannotBeRead) {
  EXPECT_TRUE(parse("application/cbor").empty());
  EXPECT_TRUE(parse("application/yaml, text/html").empty());
  EXPECT_TRUE(parse("application/json;q=0").empty());
  EXPECT_TRUE(parse("application/json;as=Table;g=meta.k8s.io;v=v2").empty());
  EXPECT_TRUE(parse("application/json;as=Other;g=meta.k8s.io;v=v1").empty());
  EXPECT_TRUE(parse("application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1").empty());
  EXPECT_TRUE(parse("application/json;stream=other").empty());
  EXPECT_TRUE(
      parse("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList").empty());
  EXPECT_TRUE(parse(";;;,=,/,a/b/c").empty());
}

TEST(Accept, PartialObjectMetadata) {
  const auto got = parse(
      "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,"
      "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json");
  ASSERT_EQ(got.size(), 3U);
  EXPECT_EQ(got[0].encoding, Encoding::kProtobuf);
  EXPECT_EQ(got[0].transform, Transform::kPartialObjectMetadata);
  EXPECT_EQ(got[0].transform_version, "v1");
  EXPECT_EQ(got[1].encoding, Encoding::kJson);
  EXPECT_EQ(got[1].transform, Transform::kPartialObjectMetadata);
  EXPECT_EQ(got[2], kJson);
}

TEST(Accept, Restricted) {
  EXPECT_EQ(restrict_accept("application/cbor, application/json;q=0.9, text/plain"),
            "application/json;q=0.9");
  EXPECT_EQ(restrict_accept("application/vnd.kubernetes.protobuf;stream=watch,application/json"),
            "application/vnd.kubernetes.protobuf;stream=watch,application/json");
  EXPECT_EQ(restrict_accept(""), "application/json");
  EXPECT_EQ(restrict_accept("*/*;q=0.5"), "application/json;q=0.5");
  EXPECT_EQ(restrict_accept("application/cbor"), "");
}

TEST(ContentType, ReadAndWritten) {
  for (const auto encoding : {Encoding::kJson, Encoding::kProtobuf}) {
    for (const bool watch : {false, true}) {
      Encoding got = encoding == Encoding::kJson ? Encoding::kProtobuf : Encoding::kJson;
      bool stream = false;
      ASSERT_TRUE(parse_content_type(content_type(encoding, watch), got, stream));
      EXPECT_EQ(got, encoding);
      // The API server's JSON watches say plain application/json.
      EXPECT_EQ(stream, watch && encoding == Encoding::kProtobuf);
    }
  }
  Encoding encoding{};
  bool stream = false;
  EXPECT_TRUE(parse_content_type("application/json;stream=watch", encoding, stream));
  EXPECT_TRUE(stream);
  EXPECT_TRUE(parse_content_type("application/json; charset=utf-8", encoding, stream));
  EXPECT_FALSE(stream);
  EXPECT_FALSE(parse_content_type("text/plain", encoding, stream));
  EXPECT_FALSE(parse_content_type("application/jsonx", encoding, stream));
  EXPECT_FALSE(parse_content_type("", encoding, stream));
}

}  // namespace
}  // namespace holdfast::kube
