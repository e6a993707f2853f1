#include "unit/cache/store_fixture.h"

namespace holdfast::cache {
namespace {

class ListTest : public StoreTest {};

TEST_F(ListTest, ServesWhatWasShownInTheServersOrder) {
  // "a-b/x" sorts before "a/x": the API server compares whole keys.
  ASSERT_TRUE(record_list(query(), 10, {{"b", "one", 3}, {"a", "two", 4}, {"a-b", "x", 5}}));
  const auto answer = list(query());
  ASSERT_EQ(answer.outcome, Outcome::kHit);
  EXPECT_EQ(answer.snapshot->resource_version(), 10u);
  EXPECT_EQ(answer.snapshot->size(), 3u);
  EXPECT_EQ(answer.snapshot->meta().type.kind, "ConfigMapList");
  EXPECT_EQ(answer.snapshot->meta().resource_version, "10");
  EXPECT_EQ(answer.snapshot->object_type().kind, "ConfigMap");
  EXPECT_FALSE(answer.snapshot->derived());
  EXPECT_EQ(items(answer), (Strings{"a-b/x@5", "a/two@4", "b/one@3"}));
}

TEST_F(ListTest, NeverAskedForIsAMissAndEmptyIsEmpty) {
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
  ASSERT_TRUE(record_list(query("a"), 10, {}));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kHit);
  EXPECT_EQ(items(query("a")), Strings{});
  EXPECT_EQ(list(query("b")).outcome, Outcome::kMiss);
}

TEST_F(ListTest, PrincipalsDoNotShareAnswers) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one"}}));
  EXPECT_EQ(list(query("a", "", 2)).outcome, Outcome::kMiss);
  EXPECT_EQ(get(query("a", "one", 2)).outcome, Outcome::kMiss);
  EXPECT_EQ(store_->floor(principal(1), query().gvr), 10u);
  EXPECT_EQ(store_->floor(principal(2), query().gvr), 0u);
}

TEST_F(ListTest, TwoPrincipalsStoreABodyOnce) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one"}, {"a", "two"}}));
  ASSERT_TRUE(record_list(query("a", "", 2), 10, {{"a", "one"}, {"a", "two"}}));
  EXPECT_EQ(store_->stats().objects, 2u);
  EXPECT_EQ(store_->stats().collections, 2u);
  store_->purge(query("a"));
  store_->drain();
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
  EXPECT_EQ(items(query("a", "", 2)), (Strings{"a/one@1", "a/two@1"}));
  store_->purge(query("a", "", 2));
  store_->drain();
  EXPECT_EQ(store_->stats().objects, 0u);
}

TEST_F(ListTest, APageIsNotAList) {
  std::vector<std::string> expected;
  std::string token;
  for (int page = 0; page < 6; ++page) {
    std::vector<Item> part;
    for (int i = page * 90; i < std::min(501, (page + 1) * 90); ++i) {
      auto number = std::to_string(1000 + i);
      part.push_back({"a", "pod-" + number, static_cast<kube::ResourceVersion>(i + 1)});
      expected.push_back("a/pod-" + number + '@' + std::to_string(i + 1));
    }
    EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
    const std::string next = page == 5 ? "" : "token-" + std::to_string(page);
    ASSERT_TRUE(record_list(query("a"), 600, part, token, next));
    token = next;
  }
  const auto answer = list(query("a"));
  ASSERT_EQ(answer.outcome, Outcome::kHit);
  EXPECT_EQ(answer.snapshot->size(), 501u);
  EXPECT_TRUE(answer.snapshot->meta().continue_token.empty());
  EXPECT_EQ(items(answer), expected);
}

TEST_F(ListTest, AnAbandonedPageCanBeAskedForAgain) {
  ASSERT_TRUE(record_list(query("a"), 9, {{"a", "one"}}, "", "t"));
  {
    auto cut = store_->record_list(query("a"), "t", {});
    cut->feed(Slice::own(json_list(9, {{"a", "two"}}).substr(0, 120)));
  }
  ASSERT_TRUE(record_list(query("a"), 9, {{"a", "two"}}, "t"));
  EXPECT_EQ(items(query("a")), (Strings{"a/one@1", "a/two@1"}));
}

TEST_F(ListTest, PagesOfTwoMomentsAreNoList) {
  ASSERT_TRUE(record_list(query("a"), 9, {{"a", "one"}}, "", "t"));
  EXPECT_FALSE(record_list(query("a"), 12, {{"a", "two"}}, "t"));
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
  EXPECT_EQ(store_->stats().objects, 0u);
}

TEST_F(ListTest, PagesNobodyContinuesGo) {
  ASSERT_TRUE(record_list(query("a"), 9, {{"a", "one"}}, "", "t"));
  clock_.advance(std::chrono::minutes{11});
  ASSERT_TRUE(record_list(query("b"), 9, {}, "", "u"));
  store_->drain();
  EXPECT_EQ(store_->stats().objects, 0u);
  EXPECT_FALSE(record_list(query("a"), 9, {}, "t"));
}

TEST_F(ListTest, AFirstPageThatIsAskedForAgainReplacesTheOther) {
  ASSERT_TRUE(record_list(query("a"), 9, {{"a", "one"}, {"a", "two"}}, "", "t"));
  ASSERT_TRUE(record_list(query("a"), 9, {{"a", "one"}}, "", "t"));
  store_->drain();
  EXPECT_EQ(store_->stats().objects, 1u);
  ASSERT_TRUE(record_list(query("a"), 9, {{"a", "three"}}, "t"));
  EXPECT_EQ(items(query("a")), (Strings{"a/one@1", "a/three@1"}));
}

TEST_F(ListTest, AListThatIsUnderWayDoesNotSurviveARefusal) {
  auto open = store_->record_list(query("a"), "", {});
  const auto body = json_list(9, {{"a", "one"}, {"a", "two"}});
  open->feed(Slice::copy(body.substr(0, 150)));
  ASSERT_TRUE(record_list(query("b"), 9, {{"b", "one"}}, "", "t"));
  store_->drain();
  store_->purge(query("a"));
  open->feed(Slice::copy(body.substr(150)));
  open->finish({});
  store_->drain();
  EXPECT_NE(list(query("a")).outcome, Outcome::kHit);
  EXPECT_FALSE(record_list(query("b"), 9, {{"b", "two"}}, "t"));
  store_->drain();
  EXPECT_EQ(store_->stats().objects, 0u);
}

TEST_F(ListTest, WhatWasCutShortIsNotStored) {
  {
    auto cut = store_->record_list(query("a"), "", {});
    cut->feed(Slice::own(json_list(9, {{"a", "one"}, {"a", "two"}}).substr(0, 200)));
  }
  EXPECT_FALSE(
      feed(*store_->record_list(query("b"), "", {}), json_list(9, {{"a", "one"}}).substr(0, 130)));
  store_->drain();
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
  EXPECT_EQ(list(query("b")).outcome, Outcome::kMiss);
  EXPECT_EQ(store_->stats().objects, 0u);
}

TEST_F(ListTest, SelectorsStandSideBySide) {
  ASSERT_TRUE(record_list(selected("app=web"), 10, {{"a", "one", 1, "web"}}));
  ASSERT_TRUE(record_list(selected("app=db"), 11, {{"a", "two", 2, "db"}}));
  EXPECT_EQ(items(selected("app=web")), Strings{"a/one@1"});
  EXPECT_EQ(items(selected("app=db")), Strings{"a/two@2"});
  EXPECT_EQ(list(selected("app")).outcome, Outcome::kMiss);
  EXPECT_EQ(list(query()).outcome, Outcome::kMiss);
}

TEST_F(ListTest, WhatFollowsFromACompleteListIsDerived) {
  ASSERT_TRUE(record_list(query(), 10,
                          {{"a", "one", 1, "web"}, {"a", "two", 2, "db"}, {"b", "one", 3, "web"}}));
  EXPECT_EQ(items(query("a")), (Strings{"a/one@1", "a/two@2"}));
  EXPECT_EQ(items(selected("app in (web)")), (Strings{"a/one@1", "b/one@3"}));
  EXPECT_EQ(items(selected("app=web", "b")), Strings{"b/one@3"});
  auto named = query("a");
  named.field_selector = "metadata.name=two";
  EXPECT_EQ(items(named), Strings{"a/two@2"});
  auto by_namespace = query();
  by_namespace.field_selector = "metadata.namespace=b";
  EXPECT_EQ(items(by_namespace), Strings{"b/one@3"});
  const auto answer = list(query("a"));
  EXPECT_EQ(answer.outcome, Outcome::kDerived);
  EXPECT_TRUE(answer.snapshot->derived());
  EXPECT_EQ(answer.snapshot->resource_version(), 10u);
  // Not without reading the object's fields.
  auto by_field = query();
  by_field.field_selector = "status.phase=Running";
  EXPECT_EQ(list(by_field).outcome, Outcome::kMiss);
}

TEST_F(ListTest, ANewerListReplacesAnOlderOneNever) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_list(query("a"), 20, {{"a", "one", 15}, {"a", "two", 16}}));
  ASSERT_TRUE(record_list(query("a"), 12, {{"a", "old", 11}}));  // resourceVersion=0 may be late
  EXPECT_EQ(items(query("a")), (Strings{"a/one@15", "a/two@16"}));
  EXPECT_EQ(store_->stats().objects, 2u);
}

TEST_F(ListTest, AtLeastIsRespected) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  EXPECT_EQ(list(query("a"), 10).outcome, Outcome::kHit);
  EXPECT_EQ(list(query("a"), 11).outcome, Outcome::kMiss);
  EXPECT_EQ(get(query("a", "one"), 10).outcome, Outcome::kDerived);
  EXPECT_EQ(get(query("a", "one"), 11).outcome, Outcome::kMiss);
}

TEST_F(ListTest, ASnapshotIsOneMoment) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}, {"a", "two", 6}}));
  auto watch = store_->record_watch(query("a"), {.from = 10}, {});
  const auto before = list(query("a"));
  ASSERT_TRUE(send(*watch, make_event(kube::EventType::kDeleted, {"a", "one", 11})));
  ASSERT_TRUE(send(*watch, make_event(kube::EventType::kModified, {"a", "two", 12})));
  EXPECT_EQ(items(before), (Strings{"a/one@5", "a/two@6"}));
  EXPECT_EQ(items(query("a")), Strings{"a/two@12"});
}

TEST_F(ListTest, SurvivesARestart) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  ASSERT_TRUE(record_list(selected("app=db"), 11, {{"b", "two", 2, "db"}}));
  open();
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
  EXPECT_EQ(items(selected("app=db")), Strings{"b/two@2"});
  EXPECT_EQ(store_->floor(principal(1), query().gvr), 11u);
  EXPECT_EQ(store_->stats().collections, 2u);
  EXPECT_EQ(store_->stats().objects, 2u);
}

TEST_F(ListTest, MemoryDoesNotSurviveARestart) {
  ASSERT_TRUE(
      record_list(query("a"), 10, {{"a", "one", 5}}, "", "", {.residence = Residence::kMemory}));
  EXPECT_EQ(items(query("a")), Strings{"a/one@5"});
  EXPECT_EQ(store_->stats().disk_bytes, 0u);
  open();
  EXPECT_EQ(list(query("a")).outcome, Outcome::kMiss);
}

TEST_F(ListTest, RepresentationsAreNotConverted) {
  ASSERT_TRUE(record_list(query("a"), 10, {{"a", "one", 5}}));
  EXPECT_EQ(store_->list(query("a"), {protobuf()}, 0).outcome, Outcome::kMiss);
  EXPECT_EQ(store_->get(query("a", "one"), {protobuf()}, 0).outcome, Outcome::kMiss);
}

}  // namespace
}  // namespace holdfast::cache
