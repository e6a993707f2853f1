#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "holdfast/kube/list.h"
#include "holdfast/kube/request_attributes.h"
#include "holdfast/kube/selector.h"
#include "holdfast/kube/status_reasons.h"
#include "holdfast/kube/watch_event.h"

// Against what Kubernetes' own code does with the same inputs: see golden/main.go.
namespace holdfast::kube {
namespace {

using nlohmann::json;

std::string read(const std::string& name) {
  std::ifstream file{std::string{HOLDFAST_GOLDEN_DIR} + "/" + name, std::ios::binary};
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>{file}, {}};
}

TEST(Golden, RequestsReadAsRequestInfoReadsThem) {
  for (const auto& want : json::parse(read("requests.json"))) {
    const auto method = want["method"].get<std::string>();
    const auto target = want["target"].get<std::string>();
    const auto got = parse_request(method, target);
    ASSERT_EQ(got.has_value(), !want.contains("error")) << target;
    if (!got) continue;
    EXPECT_EQ(got->resource_request, want["resource_request"]) << target;
    EXPECT_EQ(got->path, want["path"].get<std::string>()) << target;
    if (!got->resource_request) continue;
    const auto verb = want["verb"].get<std::string>();
    EXPECT_EQ(to_string(got->verb), verb.empty() ? "other" : verb) << method << ' ' << target;
    EXPECT_EQ(got->gvr.group, want["group"].get<std::string>()) << target;
    EXPECT_EQ(got->gvr.version, want["version"].get<std::string>()) << target;
    EXPECT_EQ(got->gvr.resource, want["resource"].get<std::string>()) << target;
    EXPECT_EQ(got->ns, want["namespace"].get<std::string>()) << target;
    EXPECT_EQ(got->subresource, want["subresource"].get<std::string>()) << target;
    EXPECT_EQ(got->name, want["name"].get<std::string>()) << target;
  }
}

TEST(Golden, LabelSelectorsDoWhatApimachinerysDo) {
  const auto golden = json::parse(read("selectors.json"));
  for (const auto& want : golden["label_selectors"]) {
    const auto text = want["selector"].get<std::string>();
    const auto got = LabelSelector::parse(text);
    ASSERT_EQ(got.has_value(), !want.contains("error")) << text;
    if (!got) continue;
    const auto again = LabelSelector::parse(got->canonical());
    ASSERT_TRUE(again) << text;
    for (std::size_t i = 0; i < golden["labels"].size(); ++i) {
      const auto labels = golden["labels"][i].get<std::map<std::string, std::string>>();
      const LabelSelector::Labels set{labels.begin(), labels.end()};
      EXPECT_EQ(got->matches(set), want["matches"][i].get<bool>()) << text << ' ' << i;
      EXPECT_EQ(again->matches(set), want["matches"][i].get<bool>()) << text << ' ' << i;
    }
  }
}

TEST(Golden, FieldSelectorsDoWhatApimachinerysDo) {
  const auto golden = json::parse(read("selectors.json"));
  for (const auto& want : golden["field_selectors"]) {
    const auto text = want["selector"].get<std::string>();
    const auto got = FieldSelector::parse(text);
    ASSERT_EQ(got.has_value(), !want.contains("error")) << text;
    if (!got) continue;
    EXPECT_EQ(got->required_name(), want["name"].get<std::string>()) << text;
    EXPECT_EQ(got->empty(), want["empty"].get<bool>()) << text;
    // Theirs keeps the order it parsed in; equal selectors are what counts.
    EXPECT_EQ(FieldSelector::parse(want["text"].get<std::string>())->canonical(), got->canonical())
        << text;
  }
}

class GoldenBodies : public ::testing::TestWithParam<Encoding> {
 protected:
  [[nodiscard]] std::string body(const std::string& name) const {
    return read(name + (GetParam() == Encoding::kJson ? ".json" : ".pb"));
  }
};

struct Split {
  ListMeta meta;
  std::vector<Object> items;
};

Split split(Encoding encoding, const std::string& bytes) {
  Split out;
  const auto splitter = ListSplitter::create(encoding, [&](Object item) -> Result<void> {
    out.items.push_back(std::move(item));
    return {};
  });
  for (std::size_t i = 0; i < bytes.size(); i += 37) {
    const auto fed = splitter->feed(std::string_view{bytes}.substr(i, 37));
    EXPECT_TRUE(fed);
  }
  auto meta = splitter->finish();
  EXPECT_TRUE(meta);
  if (meta) out.meta = *meta;
  return out;
}

TEST_P(GoldenBodies, AnObjectIsReadAndWrittenTheSame) {
  const auto bytes = body("pod");
  const auto pod = parse_object(GetParam(), Slice::copy(bytes));
  ASSERT_TRUE(pod) << pod.error().to_string();
  EXPECT_EQ(pod->type, (TypeMeta{"v1", "Pod"}));
  EXPECT_EQ(pod->meta.name, "web-7");
  EXPECT_EQ(pod->meta.ns, "default");
  EXPECT_EQ(pod->meta.uid, "uid-7");
  EXPECT_EQ(pod->meta.resource_version, 1007U);
  EXPECT_EQ(pod->meta.labels, (std::map<std::string, std::string, std::less<>>{
                                  {"app", "web"}, {"empty", ""}, {"index", "7"}}));
  EXPECT_EQ(render_object(GetParam(), pod->type, pod->body.view()), bytes);
}

TEST_P(GoldenBodies, AListIsReadAndWrittenTheSame) {
  const auto bytes = body("pods");
  const auto got = split(GetParam(), bytes);
  EXPECT_EQ(got.meta.type, (TypeMeta{"v1", "PodList"}));
  EXPECT_EQ(got.meta.resource_version, "4711");
  EXPECT_EQ(got.meta.continue_token, "next");
  ASSERT_EQ(got.items.size(), 3U);
  EXPECT_EQ(got.items[2].meta.name, "web-2");
  EXPECT_EQ(got.items[2].meta.labels.at("index"), "2");

  ListRenderer renderer{GetParam(), got.meta};
  std::size_t size = 0;
  for (const auto& item : got.items) size += ListRenderer::item_size(GetParam(), item.body.size());
  auto out = renderer.begin(size);
  for (const auto& item : got.items) renderer.item(out, item.type, item.body.view());
  out += renderer.end();
  if (GetParam() == Encoding::kJson) {
    EXPECT_EQ(json::parse(out), json::parse(bytes));
  } else {
    EXPECT_EQ(split(GetParam(), out).items.size(), 3U);
    // Ours leaves out what is empty in ListMeta, nothing else.
    EXPECT_EQ(out.substr(out.find("web-0")), bytes.substr(bytes.find("web-0")));
  }
  EXPECT_TRUE(split(GetParam(), body("empty")).items.empty());
}

TEST_P(GoldenBodies, AWatchIsReadAndWrittenTheSame) {
  const auto bytes = body("watch");
  const auto decoder = WatchDecoder::create(GetParam());
  std::vector<WatchEvent> events;
  for (const char c : bytes) {
    decoder->feed({&c, 1});
    WatchEvent event;
    const auto got = decoder->next(event);
    ASSERT_TRUE(got) << got.error().to_string();
    if (*got) events.push_back(std::move(event));
  }
  ASSERT_EQ(events.size(), 5U);
  std::string passed_on;
  for (int i = 0; i < 3; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    EXPECT_EQ(event.object.type, (TypeMeta{"v1", "Pod"}));
    EXPECT_EQ(event.object.meta.name, "web-" + std::to_string(i + 1));
    EXPECT_EQ(render_event(GetParam(), event.type, event.object.type, event.object.body.view()),
              event.frame.view());
  }
  for (const auto& event : events) passed_on += event.frame.view();
  EXPECT_EQ(passed_on, bytes);
  EXPECT_EQ(events[0].type, EventType::kAdded);
  EXPECT_EQ(events[2].type, EventType::kDeleted);
  EXPECT_EQ(events[3].type, EventType::kBookmark);
  EXPECT_EQ(events[3].object.meta.resource_version, 5000U);
  EXPECT_TRUE(events[3].initial_events_end);
  EXPECT_EQ(events[4].type, EventType::kError);
  EXPECT_EQ(events[4].status_code, 410U);
}

TEST_P(GoldenBodies, StatusesReadAsTheServers) {
  const auto not_found_bytes =
      render_status(GetParam(), not_found({"apps", "v1", "deployments"}, "x"));
  const auto too_large_bytes = render_status(GetParam(), too_large_resource_version(99, 42));
  if (GetParam() == Encoding::kJson) {
    EXPECT_EQ(json::parse(not_found_bytes), json::parse(body("not_found")));
    EXPECT_EQ(json::parse(too_large_bytes), json::parse(body("too_large")));
  } else {
    // The server writes empty strings out; what is not empty has the same bytes.
    const auto core = [](const std::string& text) {
      const auto start = text.find("Failure");
      return text.substr(start, text.find("\x2a", start) - start);
    };
    EXPECT_EQ(core(not_found_bytes), core(body("not_found")));
    EXPECT_EQ(core(too_large_bytes), core(body("too_large")));
  }
}

INSTANTIATE_TEST_SUITE_P(Encodings, GoldenBodies,
                         ::testing::Values(Encoding::kJson, Encoding::kProtobuf));

TEST(Golden, APrettyListHasTheSameItems) {
  const auto plain = split(Encoding::kJson, read("pods.json"));
  const auto pretty = split(Encoding::kJson, read("pods.pretty.json"));
  ASSERT_EQ(pretty.items.size(), plain.items.size());
  for (std::size_t i = 0; i < plain.items.size(); ++i)
    EXPECT_EQ(pretty.items[i].body.view(), plain.items[i].body.view());
  EXPECT_EQ(pretty.meta.resource_version, plain.meta.resource_version);
}

}  // namespace
}  // namespace holdfast::kube
