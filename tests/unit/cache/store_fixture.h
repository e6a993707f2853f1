#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/cache/store.h"

namespace holdfast::cache {

class FakeClock final : public Clock {
 public:
  [[nodiscard]] std::chrono::steady_clock::time_point now() const override { return now_; }
  [[nodiscard]] std::chrono::system_clock::time_point wall() const override {
    return std::chrono::system_clock::time_point{std::chrono::seconds{1'700'000'000}} +
           now_.time_since_epoch();
  }
  void advance(std::chrono::seconds by) { now_ += by; }

 private:
  std::chrono::steady_clock::time_point now_{std::chrono::hours{1}};
};

/// A directory that goes when the test does.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    const char* parent = std::getenv("TMPDIR");
    std::string name = std::string{parent ? parent : "/tmp"} + "/holdfast-cache-test-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct Item {
  std::string ns, name;
  kube::ResourceVersion version = 1;
  std::string app = "web";
  std::string text = "x";
};

inline std::string json_metadata(const Item& item) {
  return R"("metadata":{"name":")" + item.name + R"(","namespace":")" + item.ns +
         R"(","uid":"uid-)" + item.name + R"(","resourceVersion":")" +
         std::to_string(item.version) + R"(","labels":{"app":")" + item.app +
         R"("}},"data":{"text":")" + item.text + R"("})";
}

inline std::string json_object(const Item& item) {
  return R"({"kind":"ConfigMap","apiVersion":"v1",)" + json_metadata(item) + "}";
}

inline std::string json_list(kube::ResourceVersion version, const std::vector<Item>& items,
                             const std::string& token = {}) {
  std::string out = R"({"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":")" +
                    std::to_string(version) + '"';
  if (!token.empty()) out += R"(,"continue":")" + token + R"(","remainingItemCount":7)";
  out += R"(},"items":[)";
  for (const auto& item : items) {
    if (&item != &items.front()) out += ',';
    out += '{' + json_metadata(item) + '}';
  }
  return out + "]}";
}

inline kube::Representation json() {
  return {.encoding = kube::Encoding::kJson};
}
inline kube::Representation protobuf() {
  return {.encoding = kube::Encoding::kProtobuf};
}

inline kube::WatchEvent make_event(kube::EventType type, const Item& item) {
  kube::WatchEvent out;
  out.type = type;
  out.object = kube::parse_object(kube::Encoding::kJson, Slice::own(json_object(item))).value();
  return out;
}

inline kube::WatchEvent make_bookmark(kube::ResourceVersion version, bool initial_end = false) {
  kube::WatchEvent out;
  out.type = kube::EventType::kBookmark;
  out.object.type = {"v1", "ConfigMap"};
  out.object.meta.resource_version = version;
  out.initial_events_end = initial_end;
  return out;
}

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() { open(); }

  void open() {
    store_.reset();
    store_ = Store::open(options(), clock_).value();
  }
  [[nodiscard]] StoreOptions options() const {
    StoreOptions out;
    out.directory = directory_.path();
    out.budget = budget_;
    out.queue_bytes = queue_bytes_;
    out.key_source = key_source_;
    return out;
  }

  static identity::PrincipalId principal(std::uint8_t who) {
    identity::PrincipalId out;
    out.bytes[0] = who;
    return out;
  }
  static Query query(const std::string& ns = "", const std::string& name = "",
                     std::uint8_t who = 1) {
    Query out;
    out.principal = principal(who);
    out.gvr = {"", "v1", "configmaps"};
    out.ns = ns;
    out.name = name;
    return out;
  }
  static Query selected(const std::string& labels, const std::string& ns = "") {
    Query out = query(ns);
    out.label_selector = labels;
    return out;
  }

  bool feed(Recorder& recorder, const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += 1000)
      recorder.feed(Slice::copy(std::string_view{bytes}.substr(at, 1000)));
    bool stored = false;
    recorder.finish([&](bool ok) { stored = ok; });
    store_->drain();
    return stored;
  }
  bool record_list(const Query& q, kube::ResourceVersion version, const std::vector<Item>& items,
                   const std::string& from = {}, const std::string& to = {},
                   RecordOptions options = {}) {
    return feed(*store_->record_list(q, from, options), json_list(version, items, to));
  }
  bool record_get(const Query& q, const Item& item, RecordOptions options = {}) {
    return feed(*store_->record_get(q, options), json_object(item));
  }
  /// As `record_get`, without waiting for it.
  void record_get_unseen(const Query& q, const Item& item) {
    const auto recorder = store_->record_get(q, {});
    recorder->feed(Slice::own(json_object(item)));
    recorder->finish({});
  }
  bool send(WatchRecorder& watch, const kube::WatchEvent& event) {
    bool stored = false;
    watch.event(event, [&](bool ok) { stored = ok; });
    store_->drain();
    return stored;
  }

  ObjectAnswer get(const Query& q, kube::ResourceVersion at_least = 0) {
    return store_->get(q, {protobuf(), json()}, at_least);
  }
  ListAnswer list(const Query& q, kube::ResourceVersion at_least = 0) {
    return store_->list(q, {protobuf(), json()}, at_least);
  }
  /// "ns/name@version" of each item, in order; the outcome's number when there is no list.
  std::vector<std::string> items(const Query& q, kube::ResourceVersion at_least = 0) {
    return items(list(q, at_least));
  }
  static std::vector<std::string> items(const ListAnswer& answer) {
    if (!answer.snapshot) return {"outcome " + std::to_string(static_cast<int>(answer.outcome))};
    std::vector<std::string> out;
    kube::Object object;
    for (;;) {
      const auto more = answer.snapshot->next(object);
      if (!more) return {"error " + more.error().to_string()};
      if (!*more) break;
      out.push_back(object.meta.ns + '/' + object.meta.name + '@' +
                    std::to_string(object.meta.resource_version));
    }
    return out;
  }

  TemporaryDirectory directory_;
  FakeClock clock_;
  std::uint64_t budget_ = std::uint64_t{1} << 30;
  std::size_t queue_bytes_ = 64u << 20;
  std::string key_source_ = "file";
  std::unique_ptr<Store> store_;
};

using Strings = std::vector<std::string>;

}  // namespace holdfast::cache
