#include "holdfast/kube/list.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "unit/kube/messages.h"

namespace holdfast::kube {
namespace {

struct Split {
  ListMeta meta;
  std::vector<Object> items;
};

/// Feeds `bytes` in pieces of at most `piece` bytes (0: of random sizes).
Result<Split> split(Encoding encoding, std::string_view bytes, std::size_t piece) {
  Split out;
  std::mt19937 random{static_cast<unsigned>(bytes.size())};
  const auto splitter = ListSplitter::create(encoding, [&](Object item) -> Result<void> {
    out.items.push_back(std::move(item));
    return {};
  });
  while (!bytes.empty()) {
    const auto size = std::min(bytes.size(), piece ? piece : 1 + random() % 300);
    // A copy of its own size, so that the sanitizer sees a read past a piece.
    const std::vector<char> chunk(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    if (auto fed = splitter->feed({chunk.data(), chunk.size()}); !fed) return fed.error();
    bytes.remove_prefix(size);
  }
  auto meta = splitter->finish();
  if (!meta) return meta.error();
  out.meta = std::move(*meta);
  return out;
}

struct Item {
  TypeMeta type;
  std::string name, body;
};

std::string render(Encoding encoding, const ListMeta& meta, const std::vector<Item>& items) {
  ListRenderer renderer{encoding, meta};
  std::size_t size = 0;
  for (const auto& item : items) size += ListRenderer::item_size(encoding, item.body.size());
  std::string out = renderer.begin(size);
  for (const auto& item : items) renderer.item(out, item.type, item.body);
  return out + renderer.end();
}

std::vector<Item> make_items(Encoding encoding, std::size_t count, bool typed, unsigned seed) {
  std::mt19937 random{seed};
  std::vector<Item> out;
  for (std::size_t i = 0; i < count; ++i) {
    Item item;
    item.name = "item-" + std::to_string(i);
    if (encoding == Encoding::kProtobuf) {
      item.body = testing::protobuf_body(item.name, std::to_string(i), {{"app", item.name}});
      item.body.append(std::string("\x1a\0", 2));
    } else {
      if (typed) item.type = {"example.com/v1", "Widget"};
      std::string noise;
      const std::string alphabet = "ab{}[]\"\\,:\n \xc3";
      for (auto n = random() % 200; n > 0; --n) {
        const char c = alphabet[random() % alphabet.size()];
        noise += c == '\xc3' ? "\xc3\xa9" : std::string{c};
      }
      item.body = R"({"metadata":{"name":")" + item.name + R"(","resourceVersion":"5"},"spec":)" +
                  nlohmann::json(noise).dump() + R"(,"list":[[{}],[1.0,-0]]})";
    }
    out.push_back(std::move(item));
  }
  return out;
}

class Lists : public ::testing::TestWithParam<std::tuple<Encoding, bool>> {};

TEST_P(Lists, SplitUndoesRender) {
  const auto [encoding, typed] = GetParam();
  for (const std::size_t count : {0, 1, 2, 40}) {
    const auto items = make_items(encoding, count, typed, static_cast<unsigned>(count));
    const ListMeta meta{{"v1", "PodList"}, "4711", count == 2 ? "more\"" : ""};
    const auto bytes = render(encoding, meta, items);
    for (const std::size_t piece : {1, 2, 3, 63, 64, 65, 0, 1 << 20}) {
      const auto got = split(encoding, bytes, piece);
      ASSERT_TRUE(got) << piece << ": " << got.error().to_string();
      EXPECT_EQ(got->meta.type, meta.type);
      EXPECT_EQ(got->meta.resource_version, meta.resource_version);
      EXPECT_EQ(got->meta.continue_token, meta.continue_token);
      ASSERT_EQ(got->items.size(), count);
      for (std::size_t i = 0; i < count; ++i) {
        EXPECT_EQ(got->items[i].body.view(), items[i].body);
        EXPECT_EQ(got->items[i].type, items[i].type);
        EXPECT_EQ(got->items[i].meta.name, items[i].name);
      }
    }
  }
}

TEST_P(Lists, CutShortIsAnError) {
  const auto [encoding, typed] = GetParam();
  const auto bytes =
      render(encoding, {{"v1", "PodList"}, "1", ""}, make_items(encoding, 3, typed, 1));
  // The envelope's last four bytes are empty fields; JSON ends with a brace and a line end.
  const std::size_t whole = encoding == Encoding::kProtobuf ? bytes.size() - 4 : bytes.size() - 1;
  for (std::size_t size = 0; size < whole; ++size)
    EXPECT_FALSE(split(encoding, std::string_view{bytes}.substr(0, size), 50)) << size;
}

TEST_P(Lists, SurvivesGarbage) {
  const auto [encoding, typed] = GetParam();
  const auto good =
      render(encoding, {{"v1", "PodList"}, "1", ""}, make_items(encoding, 3, typed, 2));
  std::mt19937 random{11};
  const std::string alphabet = "{}[]\",:\\ n1\x01\xff\x08\x12\x0a\x7f";
  for (int i = 0; i < 20000; ++i) {
    auto bytes = good;
    for (auto n = 1 + random() % 3; n > 0; --n)
      bytes[random() % bytes.size()] = alphabet[random() % alphabet.size()];
    if (random() % 3 == 0) bytes.resize(random() % bytes.size());
    (void)split(encoding, bytes, random() % 100);
  }
}

TEST_P(Lists, TheCallersErrorEndsIt) {
  const auto [encoding, typed] = GetParam();
  const auto bytes =
      render(encoding, {{"v1", "PodList"}, "1", ""}, make_items(encoding, 3, typed, 2));
  int seen = 0;
  const auto splitter = ListSplitter::create(encoding, [&](Object) -> Result<void> {
    ++seen;
    return make_error(Errc::kCancelled, "enough");
  });
  const auto fed = splitter->feed(bytes);
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, make_error_code(Errc::kCancelled));
  EXPECT_FALSE(splitter->feed(bytes));
  EXPECT_FALSE(splitter->finish());
  EXPECT_EQ(seen, 1);
}

INSTANTIATE_TEST_SUITE_P(Encodings, Lists,
                         ::testing::Values(std::tuple{Encoding::kJson, false},
                                           std::tuple{Encoding::kJson, true},
                                           std::tuple{Encoding::kProtobuf, false}));

TEST(JsonList, AcceptsEveryLayout) {
  const char* texts[] = {
      // typed, as the API server writes it
      R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9","continue":"c"},)"
      R"("items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]})",
      // unstructured: keys sorted, kind behind the items
      R"({"apiVersion":"v1","items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}],)"
      R"("kind":"PodList","metadata":{"continue":"c","resourceVersion":"9"}})",
      "\n{\n  \"items\" : [\n    {\n      \"metadata\": {\n        \"name\": \"a\"\n      }\n    "
      "} ,\n {\"metadata\":{\"name\":\"b\"}}\n  ]\n , \"kind\": \"PodList\", \"apiVersion\": "
      "\"v1\", \"metadata\": {\"resourceVersion\": \"9\", \"continue\": \"c\"} }\n",
  };
  for (const char* text : texts) {
    for (const std::size_t piece : {1, 7, 4096}) {
      const auto got = split(Encoding::kJson, text, piece);
      ASSERT_TRUE(got) << text << got.error().to_string();
      EXPECT_EQ(got->meta.type, (TypeMeta{"v1", "PodList"}));
      EXPECT_EQ(got->meta.resource_version, "9");
      EXPECT_EQ(got->meta.continue_token, "c");
      ASSERT_EQ(got->items.size(), 2U);
      EXPECT_EQ(got->items[0].body.view(), R"({"metadata":{"name":"a"}})");
      EXPECT_EQ(got->items[1].meta.name, "b");
    }
  }
  const auto nil = split(Encoding::kJson, R"({"kind":"L","metadata":{},"items":null})", 3);
  ASSERT_TRUE(nil) << nil.error().to_string();
  EXPECT_TRUE(nil->items.empty());
}

TEST(JsonList, IsNotConfusedByItemsElsewhere) {
  const auto got = split(Encoding::kJson,
                         R"({"kind":"items","metadata":{"x":{"items":[1]},"resourceVersion":"3"},)"
                         R"("items":[{"metadata":{"name":"a"},"items":[{"b":["]"]}]}]})",
                         5);
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_EQ(got->items.size(), 1U);
  EXPECT_EQ(got->meta.type.kind, "items");
}

TEST(JsonList, RefusesWhatIsNone) {
  for (const char* text : {"",
                           "{}",
                           "[]",
                           "null",
                           R"({"kind":"Pod"})",
                           R"({"items":{}})",
                           R"({"items":[1]})",
                           R"({"items":["a"]})",
                           R"({"items":[null]})",
                           R"({"items":[{}]})",
                           R"({"items":[{"metadata":{}}]})",
                           R"({"items":[{"metadata":{"name":"a"}},]})",
                           R"({"items":[,{"metadata":{"name":"a"}}]})",
                           R"({"items":[{"metadata":{"name":"a"}}{"metadata":{"name":"b"}}]})",
                           R"({"items":[],"items":[]})",
                           R"({"items":[]} x)",
                           R"({"items":[]}})",
                           R"({"items":[]]})",
                           R"({"items"[]})",
                           R"(["items",[{"metadata":{"name":"a"}}]])",
                           R"({"items":[[]]})"}) {
    EXPECT_FALSE(split(Encoding::kJson, text, 4)) << text;
  }
}

TEST(JsonList, BoundsAnItem) {
  const auto splitter =
      ListSplitter::create(Encoding::kJson, [](Object) { return Result<void>{}; });
  ASSERT_TRUE(splitter->feed(R"({"items":[{"a":")"));
  const std::string filling(1 << 20, 'x');
  Result<void> fed = {};
  for (int i = 0; i < 17 && fed; ++i) fed = splitter->feed(filling);
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, make_error_code(Errc::kTooLarge));
}

TEST(ProtobufList, BoundsAnItem) {
  std::string list;
  protozero::pbf_writer{list}.add_bytes(1, "");
  list += '\x12';
  protozero::add_varint_to_buffer(&list, ListSplitter::kMaxItem + 1);
  std::string bytes = std::string("k8s\0", 4) + '\x12';
  protozero::add_varint_to_buffer(&bytes, list.size() + ListSplitter::kMaxItem + 1);
  const auto splitter =
      ListSplitter::create(Encoding::kProtobuf, [](Object) { return Result<void>{}; });
  const auto fed = splitter->feed(bytes + list);
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, make_error_code(Errc::kTooLarge));
}

TEST(ProtobufList, AcceptsEveryFieldOrder) {
  std::string meta;
  protozero::pbf_writer{meta}.add_string(2, "12");
  std::string list;
  {
    protozero::pbf_writer writer{list};
    writer.add_bytes(2, testing::protobuf_body("a", "1"));
    writer.add_int64(9, 5);  // unknown fields of every wire type
    writer.add_fixed32(10, 5);
    writer.add_fixed64(11, 5);
    writer.add_string(12, "later");
    writer.add_string(13, "");
    writer.add_bytes(2, testing::protobuf_body("b", "2"));
    writer.add_bytes(1, meta);
  }
  std::string type;
  {
    protozero::pbf_writer writer{type};
    writer.add_string(1, "v1");
    writer.add_string(2, "PodList");
  }
  std::string bytes = std::string("k8s\0", 4);
  {
    protozero::pbf_writer unknown{bytes};
    unknown.add_bytes(2, list);
    unknown.add_bytes(1, type);
    unknown.add_string(7, "later");
  }
  for (const std::size_t piece : {1, 5, 4096}) {
    const auto got = split(Encoding::kProtobuf, bytes, piece);
    ASSERT_TRUE(got) << got.error().to_string();
    EXPECT_EQ(got->meta.resource_version, "12");
    EXPECT_EQ(got->meta.type, (TypeMeta{"v1", "PodList"}));
    ASSERT_EQ(got->items.size(), 2U);
    EXPECT_EQ(got->items[1].meta.name, "b");
  }
}

TEST(ProtobufList, RefusesWhatIsNone) {
  const TypeMeta type{"v1", "PodList"};
  const auto refused = [&](const std::string& bytes) {
    return !split(Encoding::kProtobuf, bytes, 3);
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("{}"));
  EXPECT_TRUE(refused(std::string("k8s\0", 4)));
  EXPECT_TRUE(refused(testing::envelope(type, std::string("\x12\x00", 2))));  // no name
  EXPECT_TRUE(refused(testing::envelope(type,
                                        "\x12\x05"
                                        "abc")));  // longer than the list
  EXPECT_TRUE(refused(testing::envelope(type, std::string("\x00\x00", 2))));
  EXPECT_TRUE(refused(testing::envelope(type, "\x13")));
  EXPECT_TRUE(refused(testing::envelope(type, std::string(12, '\xff'))));
  EXPECT_TRUE(refused(testing::envelope(type, "\x0d\x01")));  // fixed32 cut short
  EXPECT_TRUE(refused(testing::envelope(type, "\x08")));      // varint cut short
}

}  // namespace
}  // namespace holdfast::kube
