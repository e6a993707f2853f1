#include "holdfast/kube/watch_event.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "holdfast/kube/status_reasons.h"
#include "unit/kube/messages.h"

namespace holdfast::kube {
namespace {

const TypeMeta kPod{"v1", "Pod"};

Result<std::vector<WatchEvent>> decode(Encoding encoding, std::string_view bytes, std::size_t piece,
                                       std::size_t* pending = nullptr) {
  const auto decoder = WatchDecoder::create(encoding);
  std::vector<WatchEvent> out;
  while (!bytes.empty()) {
    const auto size = std::min(piece, bytes.size());
    decoder->feed(bytes.substr(0, size));
    bytes.remove_prefix(size);
    for (;;) {
      WatchEvent event;
      const auto got = decoder->next(event);
      if (!got) return got.error();
      if (!*got) break;
      out.push_back(std::move(event));
    }
  }
  if (pending) *pending = decoder->pending();
  return out;
}

std::string body(Encoding encoding, const std::string& name) {
  if (encoding == Encoding::kProtobuf) return testing::protobuf_body(name, "5");
  return R"({"metadata":{"name":")" + name + R"(","resourceVersion":"5"},"x":"}\"{"})";
}

class Watches : public ::testing::TestWithParam<Encoding> {};

TEST_P(Watches, DecodeUndoesRender) {
  const Encoding encoding = GetParam();
  const EventType types[] = {EventType::kAdded, EventType::kModified, EventType::kDeleted};
  std::string stream;
  std::vector<std::string> frames;
  for (int i = 0; i < 20; ++i) {
    frames.push_back(
        render_event(encoding, types[i % 3], kPod, body(encoding, "pod-" + std::to_string(i))));
    stream += frames.back();
  }
  for (const std::size_t piece : {1, 2, 5, 64, 100000}) {
    std::size_t pending = 1;
    const auto events = decode(encoding, stream, piece, &pending);
    ASSERT_TRUE(events) << events.error().to_string();
    ASSERT_EQ(events->size(), frames.size());
    std::string passed_on;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const auto& event = (*events)[i];
      EXPECT_EQ(event.type, types[i % 3]);
      EXPECT_EQ(event.object.type, kPod);
      EXPECT_EQ(event.object.meta.name, "pod-" + std::to_string(i));
      EXPECT_EQ(event.object.meta.resource_version, 5U);
      EXPECT_EQ(event.object.body.view(), body(encoding, event.object.meta.name));
      EXPECT_EQ(event.frame.view(), frames[i]);
      EXPECT_FALSE(event.initial_events_end);
    }
    // A line end may be left; it is not part of an event.
    EXPECT_LE(pending, 1U);
  }
}

TEST_P(Watches, ReportsAnUnfinishedFrame) {
  const Encoding encoding = GetParam();
  const auto frame = render_event(encoding, EventType::kAdded, kPod, body(encoding, "x"));
  for (std::size_t size = 1; size + 1 < frame.size(); ++size) {
    std::size_t pending = 0;
    const auto events = decode(encoding, std::string_view{frame}.substr(0, size), 7, &pending);
    ASSERT_TRUE(events) << size;
    EXPECT_TRUE(events->empty());
    EXPECT_EQ(pending, size);
  }
}

TEST_P(Watches, Bookmarks) {
  const Encoding encoding = GetParam();
  for (const bool end : {false, true}) {
    const auto events = decode(encoding, render_bookmark(encoding, kPod, 123, end), 9);
    ASSERT_TRUE(events) << events.error().to_string();
    ASSERT_EQ(events->size(), 1U);
    EXPECT_EQ((*events)[0].type, EventType::kBookmark);
    EXPECT_EQ((*events)[0].object.type, kPod);
    EXPECT_EQ((*events)[0].object.meta.resource_version, 123U);
    EXPECT_EQ((*events)[0].initial_events_end, end);
  }
}

TEST_P(Watches, Errors) {
  const Encoding encoding = GetParam();
  const auto events = decode(encoding, render_error_event(encoding, expired()), 9);
  ASSERT_TRUE(events) << events.error().to_string();
  ASSERT_EQ(events->size(), 1U);
  EXPECT_EQ((*events)[0].type, EventType::kError);
  EXPECT_EQ((*events)[0].status_code, 410U);
  EXPECT_EQ((*events)[0].object.type, (TypeMeta{"v1", "Status"}));
}

TEST_P(Watches, AnUnknownTypeIsAnError) {
  const Encoding encoding = GetParam();
  auto frame = render_event(encoding, EventType::kAdded, kPod, body(encoding, "x"));
  frame.replace(frame.find("ADDED"), 5, "OTHER");
  EXPECT_FALSE(decode(encoding, frame, 9));
}

TEST_P(Watches, SurvivesGarbage) {
  const Encoding encoding = GetParam();
  std::string good;
  for (int i = 0; i < 3; ++i)
    good += render_event(encoding, EventType::kAdded, kPod, body(encoding, "pod"));
  std::mt19937 random{23};
  const std::string alphabet = "{}[]\",:\\ n1\x01\xff\x08\x12\x0a\x7f";
  for (int i = 0; i < 20000; ++i) {
    auto bytes = good;
    for (auto n = 1 + random() % 3; n > 0; --n)
      bytes[random() % bytes.size()] = alphabet[random() % alphabet.size()];
    (void)decode(encoding, bytes, 1 + random() % 100);
  }
}

INSTANTIATE_TEST_SUITE_P(Encodings, Watches,
                         ::testing::Values(Encoding::kJson, Encoding::kProtobuf));

TEST(JsonWatch, DocumentsNeedNoLineEnds) {
  const std::string one = R"({"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1",)"
                          R"("metadata":{"name":"a"}}})";
  const std::string other =
      "{ \"object\": {\n\"metadata\": {\"name\": \"b\"} },\n"
      " \"type\": \"DELETED\" }";
  for (const std::size_t piece : {1, 3, 1000}) {
    const auto events = decode(Encoding::kJson, " \n" + one + other + "\r\n\n" + one, piece);
    ASSERT_TRUE(events) << events.error().to_string();
    ASSERT_EQ(events->size(), 3U);
    EXPECT_EQ((*events)[0].frame.view(), one + "\n");
    EXPECT_EQ((*events)[0].object.type, kPod);
    EXPECT_EQ((*events)[1].frame.view(), other + "\n");
    EXPECT_EQ((*events)[1].object.body.view(), R"({"metadata":{"name":"b"}})");
    EXPECT_EQ((*events)[1].type, EventType::kDeleted);
  }
}

TEST(JsonWatch, RefusesWhatIsNone) {
  for (const char* text :
       {"[]", "x", R"({"type":"ADDED"})", R"({"object":{}})", R"({"type":"ADDED","object":[]})",
        R"({"type":"ADDED","object":null})", R"({"type":1,"object":{}})"}) {
    EXPECT_FALSE(decode(Encoding::kJson, text, 3)) << text;
  }
}

TEST(ProtobufWatch, RefusesWhatIsNone) {
  const auto frame = [](std::string payload) {
    return std::string("\0\0\0", 3) + static_cast<char>(payload.size()) + payload;
  };
  EXPECT_FALSE(decode(Encoding::kProtobuf, frame(""), 3));
  EXPECT_FALSE(decode(Encoding::kProtobuf,
                      frame("\x0a\x05"
                            "ADDED"),
                      3));
  EXPECT_FALSE(decode(Encoding::kProtobuf,
                      frame("\x0a\x09"
                            "ADDED"),
                      3));
  EXPECT_FALSE(decode(Encoding::kProtobuf, frame("junk!"), 3));
}

TEST(Watch, BoundsAFrame) {
  const auto json = WatchDecoder::create(Encoding::kJson);
  json->feed(R"({"type":"ADDED","object":{"x":")" + std::string(WatchDecoder::kMaxFrame, 'x'));
  WatchEvent event;
  auto got = json->next(event);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, make_error_code(Errc::kTooLarge));
  EXPECT_FALSE(json->next(event));

  const auto protobuf = WatchDecoder::create(Encoding::kProtobuf);
  protobuf->feed(std::string("\x01\x00\x00\x01", 4));
  got = protobuf->next(event);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, make_error_code(Errc::kTooLarge));
}

}  // namespace
}  // namespace holdfast::kube
