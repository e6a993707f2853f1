// Usage: kube_property HF_CASES COUNT. Reads made-up cases as Holdfast does and compares with what
// Kubernetes' own code made of them.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

#include "cases.h"
#include "holdfast/kube/list.h"
#include "holdfast/kube/selector.h"
#include "holdfast/kube/watch_event.h"

namespace holdfast::property {
namespace {

using nlohmann::json;

constexpr int kSkipped = 77;  // ctest's SKIP_RETURN_CODE
constexpr int kShownAtMost = 20;

class Checker {
 public:
  explicit Checker(std::uint64_t seed) : random_{seed} {}

  void check(const json& about) {
    const auto& kind = about["case"].get_ref<const std::string&>();
    ++counts_[kind];
    if (kind == "label") return label(about);
    if (kind == "field") return field(about);
    if (kind == "object") return object(about);
    if (kind == "list") return list(about);
    if (kind == "watch") return watch(about);
    differs("an unknown case", about);
  }

  [[nodiscard]] int failures() const { return failures_; }
  [[nodiscard]] const std::map<std::string, int>& counts() const { return counts_; }

 private:
  void differs(const std::string& what, const json& about) {
    if (++failures_ <= kShownAtMost)
      std::cerr << what << "\n  " << about.dump().substr(0, 4000) << "\n";
  }

  void expect(bool holds, const std::string& what, const json& about) {
    if (!holds) differs(what, about);
  }

  void label(const json& about) {
    const auto selector = kube::LabelSelector::parse(about["selector"].get<std::string>());
    if (selector.has_value() == about["error"].get<bool>()) {
      return differs(selector ? "parsed, but is an error" : "an error, but parses", about);
    }
    if (!selector) return;
    const auto again = kube::LabelSelector::parse(selector->canonical());
    if (!again) return differs("the canonical text does not parse", about);
    for (std::size_t i = 0; i < about["sets"].size(); ++i) {
      kube::LabelSelector::Labels labels;
      for (const auto& [key, value] : about["sets"][i].items()) labels[key] = value;
      const bool matches = about["matches"][i];
      expect(selector->matches(labels) == matches, "another verdict on set " + std::to_string(i),
             about);
      expect(again->matches(labels) == matches, "another verdict by its canonical text", about);
    }
  }

  void field(const json& about) {
    const auto selector = kube::FieldSelector::parse(about["selector"].get<std::string>());
    if (selector.has_value() == about["error"].get<bool>()) {
      return differs(selector ? "parsed, but is an error" : "an error, but parses", about);
    }
    if (!selector) return;
    expect(selector->required_name() == about["requiredName"], "another name required", about);
    expect(selector->metadata_only() == about["metadataOnly"], "another idea of its fields", about);
    for (std::size_t i = 0; i < about["objects"].size() && about["metadataOnly"]; ++i) {
      const auto& object = about["objects"][i];
      expect(
          selector->matches_metadata(object[0].get<std::string>(), object[1].get<std::string>()) ==
              about["matches"][i].get<bool>(),
          "another verdict on object " + std::to_string(i), about);
    }
  }

  void same(const kube::Object& got, const json& expected, const json& about) {
    const auto& meta = got.meta;
    kube::ResourceVersion version = 0;
    kube::parse_resource_version(expected["resourceVersion"].get<std::string>(), version);
    const kube::TypeMeta type{.api_version = expected["apiVersion"], .kind = expected["kind"]};
    expect(got.type == type, "another type: " + got.type.api_version + "/" + got.type.kind, about);
    expect(meta.name == expected["name"], "another name: " + meta.name, about);
    expect(meta.ns == expected["namespace"], "another namespace: " + meta.ns, about);
    expect(meta.uid == expected["uid"], "another uid: " + meta.uid, about);
    expect(meta.resource_version == version, "another resourceVersion", about);
    kube::LabelSelector::Labels labels;
    for (const auto& [key, value] : expected["labels"].items()) labels[key] = value;
    expect(meta.labels == labels, "other labels", about);
  }

  static kube::Encoding encoding_of(const json& about) {
    return about["encoding"] == "json" ? kube::Encoding::kJson : kube::Encoding::kProtobuf;
  }

  void object(const json& about) {
    const auto encoding = encoding_of(about);
    const auto bytes = bytes_of(about["bytes"]);
    const auto parsed = kube::parse_object(encoding, Slice::own(std::string{bytes}));
    if (!parsed) return differs("not read: " + parsed.error().to_string(), about);
    same(*parsed, about["expected"], about);
    auto rendered = kube::render_object(encoding, parsed->type, parsed->body.view());
    if (encoding == kube::Encoding::kJson) {
      expect(json::parse(rendered) == json::parse(bytes), "rendered as another object", about);
    }
    const auto again = kube::parse_object(encoding, Slice::own(std::move(rendered)));
    if (!again) return differs("its rendering is not read", about);
    same(*again, about["expected"], about);
    expect(again->body.view() == parsed->body.view(), "another body once rendered", about);
  }

  void list(const json& about) {
    const auto encoding = encoding_of(about);
    const auto bytes = bytes_of(about["bytes"]);
    std::vector<kube::Object> items;
    const auto splitter =
        kube::ListSplitter::create(encoding, [&](kube::Object item) -> Result<void> {
          items.push_back(std::move(item));
          return {};
        });
    std::string_view rest = bytes;
    while (!rest.empty()) {
      const auto piece = take(rest);
      if (const auto fed = splitter->feed(piece); !fed) {
        return differs("not split: " + fed.error().to_string(), about);
      }
    }
    const auto meta = splitter->finish();
    if (!meta) return differs("no end: " + meta.error().to_string(), about);
    expect(meta->resource_version == about["resourceVersion"], "another resourceVersion", about);
    expect(meta->continue_token == about["continue"], "another token", about);
    expect(meta->type.kind == about["kind"] && meta->type.api_version == about["apiVersion"],
           "another type", about);
    const auto& expected = about["expected"];
    if (items.size() != expected.size()) return differs("other items", about);
    for (std::size_t i = 0; i < items.size(); ++i) same(items[i], expected[i], about);
  }

  void watch(const json& about) {
    const auto bytes = bytes_of(about["bytes"]);
    const auto& expected = about["expected"];
    std::size_t events = 0;
    const auto decoder = kube::WatchDecoder::create(encoding_of(about));
    std::string_view rest = bytes;
    while (!rest.empty()) {
      decoder->feed(take(rest));
      kube::WatchEvent event;
      while (true) {
        const auto more = decoder->next(event);
        if (!more) return differs("not read: " + more.error().to_string(), about);
        if (!*more) break;
        if (events == expected.size()) return differs("more events", about);
        same_event(event, expected[events++], about);
      }
      const auto told = bytes.size() - rest.size();
      const std::size_t known =
          std::count_if(expected.begin(), expected.end(),
                        [&](const json& one) { return one["end"].get<std::size_t>() <= told; });
      expect(events == known, "an event later than it could be known", about);
      // What is cut here was cut within an event, unless all but a line's end has been read.
      const auto end = events == 0 ? 0 : expected[events - 1]["end"].get<std::size_t>();
      const auto more = std::string_view{bytes}.substr(end, told - end);
      expect((decoder->pending() > 0) == (more.find_first_not_of('\n') != std::string_view::npos),
             "a cut within an event is not told from one between two", about);
    }
    expect(events == expected.size(), "fewer events", about);
    expect(decoder->pending() == 0, "an unfinished frame at the end", about);
  }

  void same_event(const kube::WatchEvent& got, const json& expected, const json& about) {
    const auto type = expected["type"].get<std::string>();
    if (kube::to_string(got.type) != type) {
      return differs("another event: " + std::string{kube::to_string(got.type)}, about);
    }
    expect(got.initial_events_end == expected.value("initialEventsEnd", false), "another bookmark",
           about);
    if (type == "ERROR") {
      expect(got.status_code == expected["code"], "another code", about);
    } else {
      same(got.object, expected["object"], about);
    }
  }

  // A piece of a stream as the network cuts it: often a few bytes, sometimes all.
  std::string_view take(std::string_view& rest) {
    const std::size_t most = random_() % 4 == 0 ? rest.size() : 40;
    const auto length = std::min<std::size_t>(1 + random_() % most, rest.size());
    const auto piece = rest.substr(0, length);
    rest.remove_prefix(length);
    return piece;
  }

  std::mt19937_64 random_;
  std::map<std::string, int> counts_;
  int failures_ = 0;
};

}  // namespace
}  // namespace holdfast::property

int main(int argc, char** argv) {
  using namespace holdfast::property;
  if (argc != 3) {
    std::cerr << "usage: kube_property HF_CASES COUNT\n";
    return 2;
  }
  if (::access(argv[1], X_OK) != 0) {
    std::cerr << argv[1] << " is not there: run scripts/build-test-kube.sh\n";
    return kSkipped;
  }
  const char* given = std::getenv("HOLDFAST_SEED");
  const auto seed = given != nullptr ? std::strtoul(given, nullptr, 10) : std::random_device{}();
  std::cout << "HOLDFAST_SEED=" << seed << "\n";
  Checker checker{seed};
  const int cases = for_each_case(argv[1], seed, argv[2],
                                  [&](const nlohmann::json& about) { checker.check(about); });
  for (const auto& [kind, count] : checker.counts()) std::cout << kind << ": " << count << "\n";
  if (cases < 0 || checker.counts().size() != 5) {
    std::cerr << "hf-cases failed, or left a kind of case out\n";
    return 1;
  }
  std::cout << checker.failures() << " differences\n";
  return checker.failures() == 0 ? 0 : 1;
}
