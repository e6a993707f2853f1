#include "agent/evictions.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

namespace holdfast::agent {
namespace {

using std::chrono::seconds;

struct Toleration {
  std::string key, op, value, effect;
  std::optional<int> seconds;
};

void field(std::string& out, int number, const std::string& bytes) {
  const auto varint = [&out](std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
    out += static_cast<char>(value);
  };
  varint(static_cast<std::uint64_t>(number) << 3 | 2);
  varint(bytes.size());
  out += bytes;
}

std::string protobuf(const std::vector<Toleration>& tolerations) {
  std::string spec, pod;
  for (const auto& t : tolerations) {
    std::string one;
    field(one, 1, t.key);
    field(one, 2, t.op);
    field(one, 3, t.value);
    field(one, 4, t.effect);
    if (t.seconds) {
      one += static_cast<char>(5 << 3);
      auto value = static_cast<std::uint64_t>(static_cast<std::int64_t>(*t.seconds));
      for (; value >= 0x80; value >>= 7) one += static_cast<char>(value | 0x80);
      one += static_cast<char>(value);
    }
    field(spec, 22, one);
  }
  field(pod, 1, "");
  field(pod, 2, spec);
  return pod;
}

std::string json(const std::vector<Toleration>& tolerations) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& t : tolerations) {
    nlohmann::json one;
    if (!t.key.empty()) one["key"] = t.key;
    if (!t.op.empty()) one["operator"] = t.op;
    if (!t.value.empty()) one["value"] = t.value;
    if (!t.effect.empty()) one["effect"] = t.effect;
    if (t.seconds) one["tolerationSeconds"] = *t.seconds;
    list.push_back(one);
  }
  return nlohmann::json{{"metadata", {{"name", "p"}}}, {"spec", {{"tolerations", list}}}}.dump();
}

TEST(Evictions, AreReckonedAsTheCloudDoes) {
  const std::string unreachable = "node.kubernetes.io/unreachable";
  const Toleration five_minutes{unreachable, "Exists", "", "NoExecute", 300};
  const Toleration forever{unreachable, "Exists", "", "NoExecute", {}};
  struct Case {
    std::vector<Toleration> tolerations;
    std::optional<seconds> after;
  };
  const Case cases[] = {
      {{}, seconds{0}},
      {{five_minutes}, seconds{300}},
      {{forever}, std::nullopt},
      // The first that matches counts, not the most generous.
      {{five_minutes, forever}, seconds{300}},
      {{forever, five_minutes}, std::nullopt},
      {{{"", "Exists", "", "", {}}, five_minutes}, std::nullopt},
      {{{"", "Exists", "", "NoExecute", 60}}, seconds{60}},
      {{{unreachable, "", "", "NoExecute", {}}}, std::nullopt},
      {{{unreachable, "Equal", "x", "NoExecute", {}}}, seconds{0}},
      {{{unreachable, "Exists", "", "NoSchedule", {}}}, seconds{0}},
      {{{"node.kubernetes.io/not-ready", "Exists", "", "NoExecute", {}}, five_minutes},
       seconds{300}},
      {{{unreachable, "Exists", "", "NoExecute", -5}}, seconds{0}},
      {{{unreachable, "Lt", "5", "NoExecute", {}}, five_minutes}, seconds{300}},
  };
  for (const auto& c : cases) {
    const auto text = json(c.tolerations);
    const auto from_json = deleted_after(kube::Encoding::kJson, Slice::copy(text));
    ASSERT_TRUE(from_json) << text;
    EXPECT_EQ(*from_json, c.after) << text;
    const auto from_protobuf =
        deleted_after(kube::Encoding::kProtobuf, Slice::copy(protobuf(c.tolerations)));
    ASSERT_TRUE(from_protobuf) << text;
    EXPECT_EQ(*from_protobuf, c.after) << text;
  }
}

TEST(Evictions, WhatIsNoPodIsAnError) {
  for (const char* bad : {"", "{", "[]", "{}", R"({"spec":{"tolerations":[1]}})"}) {
    EXPECT_FALSE(deleted_after(kube::Encoding::kJson, Slice::copy(bad))) << bad;
  }
  EXPECT_FALSE(deleted_after(kube::Encoding::kProtobuf, Slice::copy("\x12\x7f")));
}

class EvictionsOfAStore : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / ("holdfast-evict-" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    auto store = cache::Store::open({.directory = folder_, .key_source = "off"}, system_clock());
    ASSERT_TRUE(store) << store.error().to_string();
    store_ = std::move(*store);
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  void show(const std::string& user, const std::string& list) {
    identity::Principal kubelet;
    kubelet.username = user;
    kubelet.groups = {"system:authenticated", "system:nodes"};
    auto recorder = store_->record_list({.principal = kubelet.id(),
                                         .gvr = {.group = "", .version = "v1", .resource = "pods"},
                                         .field_selector = "spec.nodeName=n1"},
                                        "", {});
    recorder->feed(Slice::copy(list));
    recorder->finish({});
    store_->drain();
  }

  std::filesystem::path folder_;
  std::unique_ptr<cache::Store> store_;
};

constexpr const char* kPods =
    R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"},
"items":[
{"metadata":{"name":"slow","namespace":"b","uid":"1","resourceVersion":"1"},"spec":{"tolerations":[
 {"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}]}},
{"metadata":{"name":"bare","namespace":"c","uid":"2","resourceVersion":"2"},"spec":{}},
{"metadata":{"name":"kept","namespace":"a","uid":"3","resourceVersion":"3"},"spec":{"tolerations":[
 {"operator":"Exists"}]}}]})";

TEST_F(EvictionsOfAStore, ComeFromWhatTheKubeletWasShown) {
  EXPECT_FALSE(evictions(*store_, "n1")) << "nobody read it: not known";
  show("system:node:n2", kPods);
  EXPECT_FALSE(evictions(*store_, "n1")) << "another's list";
  show("system:node:n1", kPods);
  const auto found = evictions(*store_, "n1");
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ((*found)[0].pod, "bare");
  EXPECT_EQ((*found)[0].after, seconds{0});
  EXPECT_EQ((*found)[1].ns, "b");
  EXPECT_EQ((*found)[1].after, seconds{300});
}

}  // namespace
}  // namespace holdfast::agent
